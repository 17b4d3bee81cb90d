"""Loads the records of items to pay for, and the records that they refer to, for any number of items.

Two round trips, however many items: their own rows, then the rows that these refer to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from creditdesk.ledger.loaders.bookings import BookingRow
from creditdesk.ledger.loaders.contracts import ContractRow, PricedContract
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.events import AttendeeRow, EventRow
from creditdesk.ledger.loaders.invoices import InvoiceLineRow, InvoiceRow
from creditdesk.ledger.loaders.locations import (
    LocationClock,
    load_clocks_and_currencies,
)
from creditdesk.ledger.loaders.rates import RateRow, load_booking_rates
from creditdesk.ledger.loaders.rows import (
    TypedRow,
    find_by_id,
    find_by_unique_id,
    query_of,
    to_row,
)
from creditdesk.ledger.loaders.sales import PassRow, PricedSale, SaleRow
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.repository import Finder

_ROW_TYPES: Final[Mapping[SourceKind, type[TypedRow]]] = {
    SourceKind.BOOKING: BookingRow,
    SourceKind.EVENT_ATTENDANCE: AttendeeRow,
    SourceKind.INVOICE_LINE: InvoiceLineRow,
    SourceKind.PRODUCT: PricedSale,
    SourceKind.PLAN: PricedContract,
    SourceKind.TIME_PASS: PassRow,
}
"""The kinds of items that have a record."""


@dataclass(frozen=True, slots=True)
class Items:
    """Rows by id: the items themselves, their events and invoices."""

    rows: Mapping[SourceKey, TypedRow] = field(default_factory=dict)
    events: Mapping[int, EventRow] = field(default_factory=dict)
    invoices: Mapping[int, InvoiceRow] = field(default_factory=dict)

    def business_id(self, key: SourceKey) -> int | None:
        """The location an item belongs to: by its resource, its invoice, or itself."""
        match self.rows.get(key):
            case BookingRow() as booking:
                return booking.resource_business_id
            case InvoiceLineRow() as line:
                invoice = self.invoices.get(line.coworker_invoice_id)
                return invoice.business_id if invoice else None
            case AttendeeRow() | PricedSale() | PassRow() as row:
                return row.business_id
            case PricedContract() as contract:
                return contract.issued_by_id
        return None

    def customer_id(self, key: SourceKey) -> int | None:
        """The customer an item belongs to; None where it has none."""
        match self.rows.get(key):
            case InvoiceLineRow() as line:
                invoice = self.invoices.get(line.coworker_invoice_id)
                return invoice.coworker_id if invoice else None
            case BookingRow() | AttendeeRow() | PricedSale() | PricedContract() as row:
                return row.coworker_id
        return None

    def starts(self, key: SourceKey) -> datetime | None:
        """When the booking or event begins; None for what has no time of its own (rule 12)."""
        match self.rows.get(key):
            case BookingRow() as booking:
                return booking.from_time
            case AttendeeRow() as attendee:
                event = self.events.get(attendee.calendar_event_id or 0)
                return event.start_date if event else None
        return None


@dataclass(frozen=True, slots=True)
class PricedItems:
    """Items with what their prices depend on.

    `sales` and `contracts` are what invoice lines are for, by case-folded unique id. Clocks and
    currencies are those of the locations of bookings.
    """

    items: Items
    sales: Mapping[str, SaleRow]
    contracts: Mapping[str, ContractRow]
    rates: Mapping[int, RateRow]
    clocks: Mapping[int, LocationClock]
    currencies: Mapping[int, str]


async def load_items(finder: Finder, keys: Iterable[SourceKey]) -> Items:
    """The items' own rows, and their events and invoices."""
    rows = await _load_rows(finder, keys)
    events, invoices = await _load_parents(finder, rows.values())
    return Items(rows, events, invoices)


async def load_priced_items(
    finder: Finder, keys: Iterable[SourceKey], quoted_rates: Collection[int] = ()
) -> PricedItems:
    """The items and everything that their prices depend on, with the rates of earlier quotes."""
    rows = await _load_rows(finder, keys)
    bookings = [row for row in rows.values() if isinstance(row, BookingRow)]
    lines = [row for row in rows.values() if isinstance(row, InvoiceLineRow)]
    locations = {booking.resource_business_id for booking in bookings}
    (events, invoices), (sales, contracts), rates, (clocks, currencies) = await gather_loads(
        finder,
        lambda finder: _load_parents(finder, rows.values()),
        lambda finder: _load_sold(finder, lines),
        lambda finder: load_booking_rates(finder, bookings, quoted_rates),
        lambda finder: load_clocks_and_currencies(finder, {each for each in locations if each}),
    )
    return PricedItems(Items(rows, events, invoices), sales, contracts, rates, clocks, currencies)


async def _load_rows(finder: Finder, keys: Iterable[SourceKey]) -> dict[SourceKey, TypedRow]:
    wanted: dict[SourceKind, set[int]] = {}
    for key in keys:
        if key.kind in _ROW_TYPES:
            wanted.setdefault(key.kind, set()).add(key.id)
    found = await finder.find_many([query_of(_ROW_TYPES[kind], Id=ids) for kind, ids in wanted.items()])
    return {
        SourceKey(kind, row.id): row
        for kind, records in zip(wanted, found, strict=True)
        for row in (to_row(_ROW_TYPES[kind], record) for record in records)
    }


async def _load_parents(
    finder: Finder, rows: Collection[TypedRow]
) -> tuple[dict[int, EventRow], dict[int, InvoiceRow]]:
    events = [row.calendar_event_id for row in rows if isinstance(row, AttendeeRow)]
    invoices = [row.coworker_invoice_id for row in rows if isinstance(row, InvoiceLineRow)]
    return await gather_loads(
        finder,
        lambda finder: find_by_id(finder, EventRow, events),
        lambda finder: find_by_id(finder, InvoiceRow, invoices),
    )


async def _load_sold(
    finder: Finder, lines: Collection[InvoiceLineRow]
) -> tuple[dict[str, SaleRow], dict[str, ContractRow]]:
    """The sales and contracts that invoice lines are for."""
    sales = [line.coworker_product_unique_id for line in lines]
    contracts = [line.coworker_contract_unique_id for line in lines]
    return await gather_loads(
        finder,
        lambda finder: find_by_unique_id(finder, SaleRow, sales),
        lambda finder: find_by_unique_id(finder, ContractRow, contracts),
    )
