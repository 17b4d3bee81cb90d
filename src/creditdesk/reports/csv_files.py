"""A report as CSV: RFC 4180, UTF-8, ISO dates, decimal points; text that looks like a formula is made inert."""

from __future__ import annotations

import csv
import io
from typing import Final

from creditdesk.reports.documents import cell_text
from creditdesk.reports.result import Cell, ReportResult

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def report_csv(result: ReportResult) -> bytes:
    """The rows of a report under the names of its columns."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in result.columns])
    writer.writerows([inert_text(cell) for cell in row] for row in result.rows)
    return out.getvalue().encode()


def inert_text(cell: Cell) -> str:
    """The cell's text, with an apostrophe before text that a spreadsheet would read as a formula."""
    text = cell_text(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(_FORMULA_STARTS) else text
