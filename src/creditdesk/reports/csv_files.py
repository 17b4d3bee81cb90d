"""A report as CSV: RFC 4180, UTF-8, ISO dates, decimal points; text that looks like a formula is made inert."""

from __future__ import annotations

import csv
import io

from creditdesk.reports.documents import cell_text
from creditdesk.reports.result import Cell, ReportResult
from creditdesk.schema.spreadsheets import inert_text


def report_csv(result: ReportResult) -> bytes:
    """The rows of a report under the names of its columns."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in result.columns])
    writer.writerows([_csv_text(cell) for cell in row] for row in result.rows)
    return out.getvalue().encode()


def _csv_text(cell: Cell) -> str:
    return inert_text(cell) if isinstance(cell, str) else cell_text(cell)
