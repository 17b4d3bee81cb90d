"""The records of what is paid and what they hang on, read for many sources at once.

Two exchanges with the store, however many sources: their own records, and what these hang on. This
module must not know prices, nor who pays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.rates import load_booking_rates
from creditdesk.ledger.loaders.use_references import LocationClock, load_location_clocks
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import Finder, FindQuery

_COLUMNS: Final[Mapping[SourceKind, tuple[type[Entity], tuple[str, ...]]]] = {
    SourceKind.BOOKING: (Booking, (
        "Id", "CoworkerId", "ResourceId", "ResourceBusinessId", "ResourceResourceTypeId",
        "ExtraServiceId", "FromTime", "ToTime", "OverridePrice", "Tentative",
        "DoNotUseBookingCredit",
    )),
    SourceKind.EVENT_ATTENDANCE: (EventAttendee, (
        "Id", "CoworkerId", "BusinessId", "CalendarEventId", "EventProductPrice",
        "EventProductCurrencyCode",
    )),
    SourceKind.INVOICE_LINE: (CoworkerInvoiceLine, (
        "Id", "CoworkerInvoiceId", "CoworkerInvoiceCurrencyCode", "CoworkerProductUniqueId",
        "CoworkerContractUniqueId", "SubTotal", "TaxAmount",
    )),
    SourceKind.PRODUCT: (CoworkerProduct, (
        "Id", "CoworkerId", "BusinessId", "ProductId", "Price", "Quantity", "ProductPrice",
        "ProductCurrencyCode",
    )),
    SourceKind.PLAN: (CoworkerContract, (
        "Id", "CoworkerId", "IssuedById", "TariffId", "Price", "TariffPrice", "TariffCurrencyCode",
    )),
    SourceKind.TIME_PASS: (TimePass, ("Id", "BusinessId", "Price", "CurrencyCode")),
}  # fmt: skip
"""What a price is made of, for each kind of source that has a record."""


@dataclass(frozen=True, slots=True)
class ItemRecords:
    """Records by id; `sold` and `contracts` are by the unique id an invoice line has for them.

    The clocks and currencies are those of the locations that bookings are in.
    """

    items: Mapping[SourceKind, Mapping[int, Record]]
    events: Mapping[int, Record]
    invoices: Mapping[int, Record]
    sales: Mapping[str, Record]
    contracts: Mapping[str, Record]
    rates: Mapping[int, Record]
    clocks: Mapping[int, LocationClock]
    currencies: Mapping[int, str]

    def item(self, kind: SourceKind, source_id: int) -> Record | None:
        return self.items.get(kind, {}).get(source_id)


async def load_item_records(finder: Finder, keys: Iterable[tuple[SourceKind, int]]) -> ItemRecords:
    """The sources' own records, what these name, the rates they may have, and the clocks."""
    wanted: dict[SourceKind, set[int]] = {}
    for kind, source_id in keys:
        wanted.setdefault(kind, set()).add(source_id)
    kept = [kind for kind in _COLUMNS if kind in wanted]
    found = await finder.find_many([_query_by_id(*_COLUMNS[kind], wanted[kind]) for kind in kept])
    sources = {
        kind: {record["Id"]: record for record in records}
        for kind, records in zip(kept, found, strict=True)
    }
    bookings = list(sources.get(SourceKind.BOOKING, {}).values())
    lines = list(sources.get(SourceKind.INVOICE_LINE, {}).values())
    tickets = list(sources.get(SourceKind.EVENT_ATTENDANCE, {}).values())
    (events, invoices, sold, contracts), (rates, clocks, currencies) = await gather_loads(
        finder,
        lambda finding: _load_referenced(finding, tickets, lines),
        lambda finding: _load_booking_context(finding, bookings),
    )
    return ItemRecords(sources, events, invoices, sold, contracts, rates, clocks, currencies)


async def _load_referenced(
    finder: Finder, attendees: Sequence[Record], lines: Sequence[Record]
) -> tuple[dict[int, Record], dict[int, Record], dict[str, Record], dict[str, Record]]:
    """What tickets and invoice lines name: events, invoices, sales and contracts."""
    return await gather_loads(
        finder,
        lambda finding: _load_by_id(
            finding,
            CalendarEvent,
            {ticket["CalendarEventId"] for ticket in attendees},
            ("Id", "StartDate", "EndDate", "EventCategories"),
        ),
        lambda finding: _load_by_id(
            finding,
            CoworkerInvoice,
            {line["CoworkerInvoiceId"] for line in lines},
            ("Id", "CoworkerId", "BusinessId"),
        ),
        lambda finding: _load_by_unique_id(
            finding,
            CoworkerProduct,
            {line["CoworkerProductUniqueId"] for line in lines},
            ("Id", "UniqueId", "ProductId"),
        ),
        lambda finding: _load_by_unique_id(
            finding,
            CoworkerContract,
            {line["CoworkerContractUniqueId"] for line in lines},
            ("Id", "UniqueId", "TariffId"),
        ),
    )


async def _load_booking_context(
    finder: Finder, bookings: Sequence[Record]
) -> tuple[dict[int, Record], dict[int, LocationClock], dict[int, str]]:
    """The rates that bookings may have, and the clocks and currencies of their locations."""
    places = {b["ResourceBusinessId"] for b in bookings if b["ResourceBusinessId"]}
    return await gather_loads(
        finder,
        lambda finding: load_booking_rates(finding, bookings),
        lambda finding: load_location_clocks(finding, places),
        lambda finding: load_currencies(finding, places),
    )


async def load_currencies(finder: Finder, business_ids: Iterable[int]) -> dict[int, str]:
    """The currency code of each location, blank where it has none."""
    found = await _load_by_id(finder, Business, set(business_ids), ("Id", "CurrencyCode"))
    return {business_id: record["CurrencyCode"] or "" for business_id, record in found.items()}


def _query_by_id(entity: type[Entity], columns: tuple[str, ...], ids: set[int]) -> FindQuery:
    return FindQuery(entity, where(entity, Id=ids), columns)


async def _load_by_id(
    finder: Finder, entity: type[Entity], ids: set[int], columns: tuple[str, ...]
) -> dict[int, Record]:
    if not ids:
        return {}
    found = await finder.find(entity, where(entity, Id=ids), columns=columns)
    return {record["Id"]: record for record in found}


async def _load_by_unique_id(
    finder: Finder, entity: type[Entity], unique_ids: set[str | None], columns: tuple[str, ...]
) -> dict[str, Record]:
    wanted = {fold_case(unique_id) for unique_id in unique_ids if unique_id}
    if not wanted:
        return {}
    found = await finder.find(entity, where(entity, UniqueId=wanted), columns=columns)
    return {fold_case(record["UniqueId"]): record for record in found}
