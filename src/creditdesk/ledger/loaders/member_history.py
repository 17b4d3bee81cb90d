"""The history of a customer: its own credit, and what its teams' credit paid for it, latest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.loaders.rows import AccountRow, TypedRow, columns_of, find_by_id, to_row
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.query import Filter, Order, where
from creditdesk.schema.repository import ReadSession

MAX_HISTORY_DEPTH: Final = 10_000
"""The number of latest lines of a history that can be reached by paging."""


class HistoryRow(AccountRow, frozen=True, gc=False):
    """A journal line as a member may see it; amounts as stored."""

    entity = JournalLine

    business_id: int
    coworker_id: int | None
    member_id: int | None
    kind: str
    cause: str
    amount: int
    balance_after: int
    source_kind: str | None
    source_id: int | None
    reason: str
    recorded_on: datetime
    allocation_id: int | None


@dataclass(frozen=True, slots=True)
class SourceName:
    """What a line paid for: its name, and when it takes place, where it has a time."""

    name: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemberHistory:
    """One page of a history, the number of all its lines, and the names of sources of the page.

    Names are those of the customers' own bookings and purchases.
    """

    rows: list[HistoryRow]
    total: int
    sources: Mapping[tuple[str, int], SourceName]


class _BookingRow(TypedRow, frozen=True, gc=False):
    entity = Booking

    coworker_id: int | None
    resource_name: str | None
    from_time: datetime | None


class _AttendeeRow(TypedRow, frozen=True, gc=False):
    entity = EventAttendee

    coworker_id: int | None
    calendar_event_name: str | None


class _InvoiceLineRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerInvoiceLine

    description: str | None
    coworker_invoice_coworker_id: int | None


class _SaleRow(TypedRow, frozen=True, gc=False):
    entity = CoworkerProduct

    coworker_id: int | None
    product_name: str | None


async def load_member_history(
    session: ReadSession, customer_ids: Collection[int], page: int, size: int, entry_id: int | None = None
) -> MemberHistory:
    """A page of the lines of the customers' own credits and of what they drew on others'; or one line."""
    owned = where(JournalLine, CoworkerId=set(customer_ids))
    drawn = where(JournalLine, MemberId=set(customer_ids))
    chosen = where(JournalLine, Id=entry_id) if entry_id is not None else ()
    found = {
        row.id: row for filters in (owned, drawn) for row in await _latest(session, (*filters, *chosen), page * size)
    }
    total = (
        await session.count(JournalLine, (*owned, *chosen))
        + await session.count(JournalLine, (*drawn, *chosen))
        - await session.count(JournalLine, (*owned, *drawn, *chosen))
    )
    newest_first = sorted(found.values(), key=lambda row: (row.recorded_on, row.id), reverse=True)
    rows = newest_first[(page - 1) * size : page * size]
    return MemberHistory(rows, total, await _load_sources(session, rows, customer_ids))


async def _latest(session: ReadSession, filters: Sequence[Filter], limit: int) -> list[HistoryRow]:
    order = Order(JournalLine.meta().columns["RecordedOn"], descending=True)
    records = await session.find(JournalLine, filters, order, limit, columns=columns_of(HistoryRow))
    return [to_row(HistoryRow, record) for record in records]


async def _load_sources(
    session: ReadSession, rows: Iterable[HistoryRow], customer_ids: Collection[int]
) -> dict[tuple[str, int], SourceName]:
    ids: dict[str, set[int]] = {}
    for row in rows:
        if row.source_kind and row.source_id:
            ids.setdefault(row.source_kind, set()).add(row.source_id)
    bookings = await find_by_id(session, _BookingRow, ids.get(SourceKind.BOOKING, ()))
    attendees = await find_by_id(session, _AttendeeRow, ids.get(SourceKind.EVENT_ATTENDANCE, ()))
    lines = await find_by_id(session, _InvoiceLineRow, ids.get(SourceKind.INVOICE_LINE, ()))
    sales = await find_by_id(session, _SaleRow, ids.get(SourceKind.PRODUCT, ()))
    named = [
        *((SourceKind.BOOKING, b.id, b.coworker_id, b.resource_name, b.from_time) for b in bookings.values()),
        *((SourceKind.EVENT_ATTENDANCE, a.id, a.coworker_id, a.calendar_event_name, None) for a in attendees.values()),
        *((SourceKind.INVOICE_LINE, x.id, x.coworker_invoice_coworker_id, x.description, None) for x in lines.values()),
        *((SourceKind.PRODUCT, s.id, s.coworker_id, s.product_name, None) for s in sales.values()),
    ]
    return {
        (kind.value, source_id): SourceName(name, at)
        for kind, source_id, owner, name, at in named
        if owner in customer_ids and name
    }
