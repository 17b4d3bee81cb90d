"""Reports on a terminal: a readable table, and a small chart of what was owed month by month."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal

from creditdesk.cli.report_tables import BAR_WIDTH, chart_lines, print_report
from creditdesk.reports.result import CellType, ReportColumn, ReportFooter, ReportResult

FOOTER = ReportFooter("2026-01-01 to 2026-02-28", (), datetime(2026, 3, 1, tzinfo=UTC), 7, "ab" * 32)
COLUMNS = (
    ReportColumn("Month", "Month"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Closing", "Closing", CellType.AMOUNT),
    ReportColumn("Key", "Key"),
)


def rolled(*rows: tuple[str, str, str, Decimal, str]) -> ReportResult:
    return ReportResult("roll-forward", "Roll-forward", "From opening to closing", COLUMNS, rows, FOOTER)


def test_groups_of_a_month_add_up_to_one_bar() -> None:
    result = rolled(
        ("2026-01", "money", "GBP", Decimal("5.00"), ""),
        ("2026-01", "money", "GBP", Decimal("5.00"), ""),
        ("2026-02", "money", "GBP", Decimal("20.00"), ""),
        ("2026-02", "time", "minute", Decimal(600), ""),
    )
    assert chart_lines(result) == [
        "money in GBP, end of month",
        f"  2026-01  {'█' * (BAR_WIDTH // 2)}{' ' * (BAR_WIDTH // 2)}  10.00",
        f"  2026-02  {'█' * BAR_WIDTH}  20.00",
        "",
    ]


def test_a_single_month_or_nothing_owed_has_no_chart() -> None:
    assert chart_lines(rolled(("2026-01", "money", "GBP", Decimal("5.00"), ""))) == []
    nothing = [(month, "money", "GBP", Decimal("0.00"), "") for month in ("2026-01", "2026-02")]
    assert chart_lines(rolled(*nothing)) == []


def test_the_table_has_totals_and_footer_but_no_column_without_a_value() -> None:
    out = io.StringIO()
    print_report(rolled(("2026-01", "money", "GBP", Decimal("1234.50"), "k")), out)
    text = out.getvalue()
    assert "1,234.50" in text
    assert "7 journal entries" in text
    assert "Key" not in text
