"""Reports on a terminal: a readable table, and a small chart of what was owed month by month."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

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


WIDE = (
    ReportColumn("Location", "Location"),
    ReportColumn("Funding", "Funding"),
    ReportColumn("Granted", "Granted", CellType.AMOUNT),
    ReportColumn("RolledIn", "Rolled in", CellType.AMOUNT),
    *(ReportColumn(f"Amount{number}", f"Amount {number}", CellType.AMOUNT) for number in range(4)),
)


def printed(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two rows of a wide report on a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(width))
    rows = tuple(
        ("Mill", funding, Decimal("1234567.89"), Decimal("0.00"), *(Decimal("-7654321.00"),) * 4)
        for funding in ("paid", "plan")
    )
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign] # a terminal, for which tables are laid out
    print_report(ReportResult("liability", "Liability", "Owed", WIDE, rows, FOOTER), out)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize(("width", "lines"), [(140, 2), (60, 10)], ids=["a table", "records"])
def test_no_number_is_cut_on_a_narrow_terminal(width: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(width, monkeypatch)
    assert text.count("-7,654,321.00") == 8
    assert text.count("1,234,567.89") == 2
    assert sum("7,654,321.00" in line or "1,234,567.89" in line for line in text.splitlines()) == lines


def test_what_is_equal_in_all_rows_stands_above_them_and_unused_flows_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = printed(140, monkeypatch)
    assert "Location: Mill" in text
    assert text.count("Mill") == 1
    assert "Rolled in" not in text
