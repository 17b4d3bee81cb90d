"""A report as a workbook: real numbers and dates, frozen headers, filters, totals as formulas, and its footer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import xlsxwriter

from creditdesk.ledger.rules.amounts import currency_digits
from creditdesk.reports.documents import cell_text
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportFooter, ReportResult, Wording, readable_cell
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.spreadsheets import fits_spreadsheet

MAX_SHEET_ROWS: Final = 1_000_000
"""A sheet has 1,048,576 rows."""


_NAME_LENGTH: Final = 31


def report_xlsx(result: ReportResult) -> bytes:
    """The report on one sheet, each section and the tie-out on sheets of their own.

    Raises ValidationError for too many rows.
    """
    if len(result.rows) > MAX_SHEET_ROWS:
        raise invalid_field(
            "Format", f"has at most {MAX_SHEET_ROWS} rows as XLSX, and this report {len(result.rows)}: use csv"
        )
    out = io.BytesIO()
    workbook = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    # The same report gives the same bytes.
    workbook.set_properties(
        {
            "title": f"{result.wording(result.title)}: {result.wording(result.subtitle)}",
            "created": _naive(result.footer.known_as_of),
        }
    )
    writer = _SheetWriter(workbook, result.wording)
    writer.write(result.title, result.columns, result.rows, result.totals)
    for section in result.sections:
        writer.write(section.title, section.columns, section.rows)
    writer.write_footer(result.footer)
    workbook.close()
    return out.getvalue()


class _SheetWriter:
    """Writes tables to sheets of one workbook."""

    def __init__(self, workbook: Any, wording: Wording) -> None:
        self._workbook = workbook
        self._wording = wording
        self._formats: dict[tuple[str, bool], Any] = {}

    def write(
        self,
        title: str,
        columns: Sequence[ReportColumn],
        rows: Sequence[tuple[Cell, ...]],
        totals: Sequence[tuple[Cell, ...]] = (),
    ) -> None:
        sheet = self._workbook.add_worksheet(self._wording(title)[:_NAME_LENGTH])
        header = self._workbook.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        for place, column in enumerate(columns):
            shown = self._wording(column.title)
            sheet.write_string(0, place, shown, header)
            texts = [cell_text(row[place]) for row in rows[:1000]]
            sheet.set_column(place, place, min(48, max(9, len(shown), *map(len, texts), 0) + 2))
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows, 1):
            for place, cell in enumerate(row):
                self._write_cell(sheet, (number, place), cell, columns[place], _unit(columns, row))
        if rows:
            sheet.autofilter(0, 0, len(rows), len(columns) - 1)
        for number, row in enumerate(totals, len(rows) + 2):
            self._write_total(sheet, number, columns, rows, row)

    def write_footer(self, footer: ReportFooter) -> None:
        """Writes the sheet with the footer: the data behind the report."""
        worded = self._wording
        sheet = self._workbook.add_worksheet(worded("Tie-out"))
        lines: list[tuple[str, Cell]] = [
            (worded("Period"), worded(footer.period)),
            *(
                (
                    f"{each.name} ({each.zone})",
                    worded(f"{cell_text(each.starts_utc) or 'the beginning'} to {cell_text(each.ends_utc) or 'now'}"),
                )
                for each in footer.locations
            ),
            (worded("Known as of (UTC)"), worded(cell_text(footer.known_as_of))),
            (worded("Journal entries"), footer.entries),
            (worded("Digest of the heads"), footer.heads_digest),
            (worded("Checkpoint"), footer.checkpoint),
            (worded("Checkpoint root"), footer.checkpoint_root),
            *((worded(f"Variance {unit}"), amount) for unit, amount in footer.variance),
            (worded("Ties out"), footer.ties_out),
            *((worded("Note"), worded(note)) for note in footer.notes),
        ]
        sheet.set_column(0, 0, 36)
        sheet.set_column(1, 1, 80)
        value = ReportColumn("Value", "Value", CellType.TEXT)
        for number, (name, cell) in enumerate(lines):
            sheet.write_string(number, 0, name)
            self._write_cell(sheet, (number, 1), cell, value, "")

    def _write_total(
        self,
        sheet: Any,
        number: int,
        columns: Sequence[ReportColumn],
        rows: Sequence[tuple[Cell, ...]],
        total: tuple[Cell, ...],
    ) -> None:
        """Writes a total as a formula if it is the sum of its unit's rows, so that it follows the sheet's filter."""
        unit = _unit(columns, total)
        kinds = [_kind_and_unit(columns, row) for row in rows]
        own = [row for row, kind in zip(rows, kinds, strict=True) if kind == _kind_and_unit(columns, total)]
        is_only_unit = len(own) == len(rows)
        for place, cell in enumerate(total):
            column = columns[place]
            summed = sum((value for row in own if isinstance(value := row[place], Decimal)), Decimal(0))
            is_sum = isinstance(cell, Decimal) and column.type is CellType.AMOUNT and summed == cell
            if is_sum and is_only_unit and isinstance(cell, Decimal) and fits_spreadsheet(cell):
                letters = xlsxwriter.utility.xl_col_to_name(place)
                formula = f"=SUBTOTAL(109,{letters}2:{letters}{len(rows) + 1})"
                sheet.write_formula(number, place, formula, self._format(column, unit, bold=True), cell)
            else:
                self._write_cell(sheet, (number, place), cell, column, unit, bold=True)

    def _write_cell(
        self, sheet: Any, at: tuple[int, int], cell: Cell, column: ReportColumn, unit: str, *, bold: bool = False
    ) -> None:
        cell_format = self._format(column, unit, bold=bold)
        match cell:
            case None | "":
                return
            case bool():
                sheet.write_boolean(*at, cell, cell_format)
            case int() | Decimal() if fits_spreadsheet(cell):
                sheet.write_number(*at, cell, cell_format)
            case datetime():
                sheet.write_datetime(*at, _naive(cell), cell_format)
            case date():
                sheet.write_datetime(*at, cell, cell_format)
            case _:
                # Written explicitly as a string, so that the text is never read as a formula.
                text = readable_cell(column.name, cell_text(cell), self._wording)
                sheet.write_string(*at, text, self._format(ReportColumn("", ""), "", bold=bold))

    def _format(self, column: ReportColumn, unit: str, *, bold: bool) -> Any:
        shown = _number_format(column.type, unit)
        found = self._formats.get((shown, bold))
        if found is None:
            found = self._formats[shown, bold] = self._workbook.add_format({"num_format": shown, "bold": bold})
        return found


def _number_format(cell_type: CellType, unit: str) -> str:
    match cell_type:
        case CellType.AMOUNT:
            digits = currency_digits(unit) if len(unit) == 3 and unit.isupper() else 0
            return "#,##0" + ("." + "0" * digits if digits else "")
        case CellType.PERCENT:
            return "0.0"
        case CellType.DATE:
            return "yyyy-mm-dd"
        case CellType.INSTANT:
            return "yyyy-mm-dd hh:mm:ss"
        case CellType.COUNT | CellType.ID:
            return "0"
        case CellType.TEXT:
            return "General"


def _unit(columns: Sequence[ReportColumn], row: tuple[Cell, ...]) -> str:
    """The unit of a row's amounts; empty if it has none."""
    return _kind_and_unit(columns, row)[1]


def _kind_and_unit(columns: Sequence[ReportColumn], row: tuple[Cell, ...]) -> tuple[str, str]:
    named = {column.name: cell for column, cell in zip(columns, row, strict=True)}
    return str(named.get("Kind") or ""), str(named.get("Unit") or "")


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
