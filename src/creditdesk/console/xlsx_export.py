"""A list as a workbook: real numbers and dates, a frozen heading and filters; rows are kept in a file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import IO, Any, Final

import msgspec
import xlsxwriter

from creditdesk.console.api_client import InProcessClient
from creditdesk.console.csv_export import read_pages
from creditdesk.console.formats import Formatter, as_instant
from creditdesk.console.labels import column_title
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import DateTime
from creditdesk.schema.spreadsheets import fits_spreadsheet

XLSX_MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_WIDTH: Final = 18
_CHUNK_BYTES: Final = 65_536


async def stream_xlsx(
    client: InProcessClient,
    entity: type[Entity],
    columns: Sequence[Column],
    query: Sequence[tuple[str, str]],
    formatter: Formatter,
) -> AsyncIterator[bytes]:
    """The workbook of a list, with instants in the formatter's time zone. Threads write it page by page."""
    with tempfile.TemporaryFile() as file:
        sheet = await asyncio.to_thread(_ListSheet, file, entity, columns, formatter)
        async for records in read_pages(client, entity, query):
            await asyncio.to_thread(sheet.write, records)
        await asyncio.to_thread(sheet.close)
        file.seek(0)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


class _ListSheet:
    """Writes the records of a list below each other."""

    def __init__(self, file: IO[bytes], entity: type[Entity], columns: Sequence[Column], formatter: Formatter) -> None:
        self._columns, self._formatter, self._next = columns, formatter, 1
        self._workbook = xlsxwriter.Workbook(file, {"constant_memory": True})
        self._sheet = self._workbook.add_worksheet(entity.plural[:31])
        self._instant = self._workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        heading = self._workbook.add_format({"bold": True, "bottom": 1})
        for place, column in enumerate(columns):
            self._sheet.write_string(0, place, column_title(column, formatter.locale.language), heading)
        self._sheet.set_column(0, len(columns) - 1, _WIDTH)
        self._sheet.freeze_panes(1, 0)

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            for place, column in enumerate(self._columns):
                self._write_cell(place, column, record.get(column.name))
            self._next += 1

    def close(self) -> None:
        if self._next > 1:
            self._sheet.autofilter(0, 0, self._next - 1, len(self._columns) - 1)
        self._workbook.close()

    def _write_cell(self, place: int, column: Column, value: Any) -> None:
        at = (self._next, place)
        instant = as_instant(value) if isinstance(column.field, DateTime) else None
        if instant is not None:
            local = instant.astimezone(self._formatter.zone).replace(tzinfo=None)
            self._sheet.write_datetime(*at, local, self._instant)
        elif isinstance(value, bool):
            self._sheet.write_boolean(*at, value)
        elif isinstance(value, int | Decimal) and fits_spreadsheet(value):
            self._sheet.write_number(*at, value)
        elif value is not None:
            # Written as a string, so that no text is read as a formula.
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            self._sheet.write_string(*at, text)
