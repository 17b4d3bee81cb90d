"""Reads the rows of an XLSX workbook: its first sheet, whose first line names the columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from creditdesk.schema.spreadsheets import MAX_SPREADSHEET_DIGITS
from creditdesk.transfer.file_rows import BadRow, FileRow, MalformedFile

MAX_WORKBOOK_BYTES: Final = 1 << 30
"""The largest unpacked workbook. Its texts are kept in memory."""

_UNREADABLE: Final = (
    *(AttributeError, BadZipFile, EOFError, InvalidFileException, KeyError, OSError),
    *(ParseError, TypeError, ValueError),
)
"""The errors of openpyxl for a file that is damaged or not a workbook."""


def workbook_rows(path: Path) -> Iterator[FileRow | BadRow]:
    """The rows of the first sheet, as a stream; formulas as the values with which they were saved.

    Raises MalformedFile if the rest of the workbook cannot be read.
    """
    _require_moderate_size(path)
    lines = _lines(path)
    names = [str(name or "").strip() for name in next(lines, ())]
    while names and not names[-1]:
        names.pop()
    for number, cells in enumerate(lines, 1):
        values = [_cell_value(cell) for cell in cells]
        if any(value != "" for value in values[len(names) :]):
            reason = f"has a cell beyond the {len(names)} columns that the first line names"
            yield BadRow(number, reason, tuple(names))
        elif any(value != "" for value in values):
            padded = values[: len(names)] + [""] * (len(names) - len(values))
            yield FileRow(number, dict(zip(names, padded, strict=True)), is_table=True)


def _require_moderate_size(path: Path) -> None:
    try:
        with ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except BadZipFile:
        raise _malformed(path) from None
    if size > MAX_WORKBOOK_BYTES:
        raise MalformedFile(f"{path.name} is too large for a workbook; save it as CSV")


def _lines(path: Path) -> Iterator[tuple[Any, ...]]:
    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as workbook:
            yield from workbook.worksheets[0].iter_rows(values_only=True)
    except (IndexError, *_UNREADABLE):
        raise _malformed(path) from None


def _malformed(path: Path) -> MalformedFile:
    return MalformedFile(f"{path.name} is not an XLSX workbook, or is damaged; save it again, or as CSV")


def _cell_value(cell: object) -> Any:
    """A cell for a row: dates as text, exact numbers, empty cells as empty text."""
    match cell:
        case None:
            return ""
        case datetime() | date() | time():
            return cell.isoformat()
        case float():
            # Behind these digits the file may have the noise of binary fractions.
            number = Decimal(f"{cell:.{MAX_SPREADSHEET_DIGITS}g}")
            return int(number) if number == number.to_integral_value() else number
        case bool() | int() | str():
            return cell
    return str(cell)
