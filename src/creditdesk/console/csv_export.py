"""A list as CSV: RFC 4180, exact values as the API has them, read page by page while it is sent."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, Final

import msgspec

from creditdesk.console.api_client import MAX_PAGE_RECORDS, InProcessClient, RecordPage
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.spreadsheets import inert_text

MAX_EXPORT_ROWS: Final = 100_000

_BYTE_ORDER_MARK: Final = "\ufeff"


async def stream_csv(
    client: InProcessClient, entity: type[Entity], columns: Sequence[Column], query: Sequence[tuple[str, str]]
) -> AsyncIterator[bytes]:
    """The rows of a list with a heading of the API's names, a page of the API at a time."""
    heading = csv_lines([[column.name for column in columns]])
    yield (_BYTE_ORDER_MARK + heading).encode()
    async for records in read_pages(client, entity, query):
        yield csv_lines(_row(columns, record) for record in records).encode()


async def read_pages(
    client: InProcessClient, entity: type[Entity], query: Sequence[tuple[str, str]]
) -> AsyncIterator[list[dict[str, Any]]]:
    """The records of a list, in the largest pages of the API. Raises ApiError."""
    number, pages = 1, 1
    while number <= pages:
        listed = await _page(client, entity, query, number)
        pages = listed.pages
        yield listed.records
        number += 1


async def _page(
    client: InProcessClient, entity: type[Entity], query: Sequence[tuple[str, str]], number: int
) -> RecordPage:
    kept = [(name, value) for name, value in query if name.lower() not in ("page", "size")]
    return await client.find(entity.path(), [*kept, ("page", str(number)), ("size", str(MAX_PAGE_RECORDS))])


def _row(columns: Sequence[Column], record: Mapping[str, Any]) -> list[str]:
    return [csv_text(record.get(column.name)) for column in columns]


def csv_text(value: object) -> str:
    """A value as text, inert for spreadsheets."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return inert_text(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Rows as lines that end with CRLF."""
    written = StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()
