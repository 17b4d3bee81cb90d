"""A report as a JSON document: amounts are exact decimals as text, dates and instants ISO 8601, instants in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from creditdesk.reports.result import Cell, ReportColumn, ReportFooter, ReportResult
from creditdesk.schema.conversions import format_datetime


def report_document(result: ReportResult, shown: slice = slice(None)) -> dict[str, Any]:
    """The report as a JSON object; each row is an object by column name.

    `shown` selects the rows, and as many from the start of each section; `RowCount` counts all rows.
    """
    return {
        "Report": result.name,
        "Title": result.title,
        "Subtitle": result.subtitle,
        "Columns": _columns(result.columns),
        "RowCount": len(result.rows),
        "Rows": _rows(result.columns, result.rows[shown]),
        "Totals": _rows(result.columns, result.totals),
        "Sections": [
            {
                "Title": section.title,
                "Columns": _columns(section.columns),
                "RowCount": len(section.rows),
                "Rows": _rows(section.columns, section.rows if shown.stop is None else section.rows[: _length(shown)]),
            }
            for section in result.sections
        ],
        "Footer": _footer_document(result.footer),
    }


def _columns(columns: Sequence[ReportColumn]) -> list[dict[str, str]]:
    return [
        {"Name": each.name, "Title": each.title, "Type": each.type.value, "Description": each.description}
        for each in columns
    ]


def _length(shown: slice) -> int:
    return int(shown.stop) - int(shown.start or 0)


def cell_text(cell: Cell) -> str:
    """A cell as text, the same in JSON and CSV; empty for an absent value."""
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case datetime():
            return format_datetime(cell)
        case date():
            return cell.isoformat()
        case Decimal():
            return f"{cell:f}"
        case _:
            return str(cell)


def _rows(columns: Sequence[ReportColumn], rows: Sequence[tuple[Cell, ...]]) -> list[dict[str, Any]]:
    names = [column.name for column in columns]
    return [dict(zip(names, map(_json_value, row), strict=True)) for row in rows]


def _json_value(cell: Cell) -> str | int | bool | None:
    return cell if cell is None or isinstance(cell, bool | int) else cell_text(cell)


def _footer_document(footer: ReportFooter) -> dict[str, Any]:
    return {
        "Period": footer.period,
        "Locations": [
            {
                "Id": each.id,
                "Name": each.name,
                "TimeZone": each.zone,
                "FromUtc": _json_value(each.starts_utc),
                "ToUtc": _json_value(each.ends_utc),
            }
            for each in footer.locations
        ],
        "KnownAsOf": _json_value(footer.known_as_of),
        "Entries": footer.entries,
        "HeadsDigest": footer.heads_digest,
        "Checkpoint": footer.checkpoint,
        "CheckpointRoot": footer.checkpoint_root,
        "Variance": {unit: _json_value(amount) for unit, amount in footer.variance},
        "TiesOut": footer.ties_out,
        "Notes": list(footer.notes),
    }
