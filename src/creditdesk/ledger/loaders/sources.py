"""What is to be paid, with its price: a booking, a ticket, an invoice line, a sale, a charge.

This module must not know credits, nor who pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import unknown_reference
from creditdesk.ledger.loaders.items import ItemRecords, load_currencies, load_item_records
from creditdesk.ledger.loaders.rates import booking_units, select_booking_rate, to_rate, total_price
from creditdesk.ledger.loaders.use_references import LocationClock
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Source, SourceKey, SourceKind
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import ValidationError, invalid_field
from creditdesk.schema.repository import Finder
from creditdesk.schema.service import RequestContext

STEPS_PER_PRINT_UNIT: Final = 100
"""One printing unit is worth a hundredth of the currency."""


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """A source as a caller names it; what is blank is read from its record.

    `amount` is in ten-thousandths of the currency, `print_units` in uses.
    """

    kind: SourceKind
    id: int
    amount: Amount | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    print_units: int = 0

    @property
    def key(self) -> SourceKey:
        return SourceKey(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer that pays, and the location of what has no record of its own."""

    customer_id: int
    business_id: int | None = None


@dataclass(frozen=True, slots=True)
class BasketRequest:
    """A basket as a caller names it.

    What a source was already paid by earlier spends is no longer part of its price, unless it is
    to be decided `as_unpaid`.
    """

    buyer: Buyer
    items: tuple[ItemRequest, ...]
    context: RequestContext
    ignore_covered: bool = False

    @property
    def conflict_keys(self) -> frozenset[int | SourceKey]:
        """What two baskets that are read before either is drawn must not have in common: the
        customer, and sources, of which each is settled once; a kind of pass is sold to many.
        """
        sold_once = (each for each in self.items if each.kind is not SourceKind.TIME_PASS)
        return frozenset({self.buyer.customer_id, *(each.key for each in sold_once)})


async def load_sources(
    finder: Finder, baskets: Sequence[BasketRequest]
) -> list[tuple[Source, ...] | ValidationError]:
    """The sources of each basket with their prices, or why it cannot be: one is not there, or is
    another customer's.
    """
    named = ((each.kind, each.id) for basket in baskets for each in basket.items)
    found = await load_item_records(finder, named)
    read = [_build_sources(basket, found) for basket in baskets]
    sources = [source for each in read if not isinstance(each, ValidationError) for source in each]
    places = {source.business_id for source in sources if not source.currency}
    others = await load_currencies(finder, places - found.currencies.keys())
    currencies = {**found.currencies, **others}
    return [
        each
        if isinstance(each, ValidationError)
        else tuple(_in_currency(s, currencies) for s in each)
        for each in read
    ]


def _build_sources(
    basket: BasketRequest, found: ItemRecords
) -> tuple[Source, ...] | ValidationError:
    try:
        return tuple(
            _build_source(each, basket.buyer, basket.context, found) for each in basket.items
        )
    except ValidationError as refusal:
        return refusal


def _build_source(
    asked: ItemRequest, buyer: Buyer, context: RequestContext, found: ItemRecords
) -> Source:
    source = _BUILDERS[asked.kind](asked, buyer, found)
    if not context.principal.sees_location(source.business_id):
        raise unknown_reference("Sources", str(source.key))
    if source.customer_id != buyer.customer_id:
        raise invalid_field("Sources", f"{source.key} is not of this customer")
    return source


def _in_currency(source: Source, currencies: Mapping[int, str]) -> Source:
    """What has no currency of its own is paid in its location's."""
    if source.currency:
        return source
    return replace(source, currency=currencies.get(source.business_id, ""))


def _booking_source(asked: ItemRequest, _whose: Buyer, found: ItemRecords) -> Source:
    booking = _require_record(asked, found)
    business_id = booking["ResourceBusinessId"]
    if business_id is None:
        raise unknown_reference("Sources", f"booking/{asked.id}")
    starts, ends = asked.starts or booking["FromTime"], asked.ends or booking["ToTime"]
    if ends <= starts:
        raise invalid_field("Sources", f"booking/{asked.id} does not end after it starts")
    clock = found.clocks.get(business_id, LocationClock())
    rate = select_booking_rate(booking, found.rates.values())
    price, credit_price = asked.amount, None
    if rate is not None:
        count = booking_units(rate, starts, ends, clock)
        credit_price = total_price(rate["CreditPrice"], rate, count)
        if price is None:
            price = total_price(rate["Price"], rate, count)
        if price is not None and rate["MaximumPrice"] and asked.amount is None:
            price = min(price, rate["MaximumPrice"])
    if asked.amount is None and booking["OverridePrice"] is not None:
        price = booking["OverridePrice"]
    return Source(
        SourceKind.BOOKING,
        asked.id,
        booking["CoworkerId"] or 0,
        business_id,
        (rate and rate["CurrencyCode"]) or "",
        price or 0,
        credit_price,
        starts,
        ends,
        booking["ResourceResourceTypeId"],
        tentative=booking["Tentative"],
        refuses_credit=booking["DoNotUseBookingCredit"],
        per_night=bool(rate and rate["UsePerNightPricing"]),
        zone=clock.zone,
        interval_minutes=clock.interval_minutes,
        rate=to_rate(rate) if rate else None,
    )


def _attendance_source(asked: ItemRequest, _whose: Buyer, found: ItemRecords) -> Source:
    attendee = _require_record(asked, found)
    event = found.events.get(attendee["CalendarEventId"])
    return Source(
        SourceKind.EVENT_ATTENDANCE,
        asked.id,
        attendee["CoworkerId"] or 0,
        attendee["BusinessId"],
        attendee["EventProductCurrencyCode"] or "",
        _price_or(asked, attendee["EventProductPrice"]),
        starts=event["StartDate"] if event else None,
        ends=event["EndDate"] if event else None,
        event_categories=frozenset(event["EventCategories"]) if event else frozenset(),
    )


def _invoice_line_source(asked: ItemRequest, _whose: Buyer, found: ItemRecords) -> Source:
    line = _require_record(asked, found)
    invoice = found.invoices.get(line["CoworkerInvoiceId"])
    if invoice is None:
        raise unknown_reference("Sources", f"invoice_line/{asked.id}")
    sold = found.sales.get(fold_case(line["CoworkerProductUniqueId"] or ""))
    contract = found.contracts.get(fold_case(line["CoworkerContractUniqueId"] or ""))
    return Source(
        SourceKind.INVOICE_LINE,
        asked.id,
        invoice["CoworkerId"] or 0,
        invoice["BusinessId"],
        line["CoworkerInvoiceCurrencyCode"] or "",
        _price_or(asked, max(0, line["SubTotal"] + line["TaxAmount"])),
        product_id=sold["ProductId"] if sold else None,
        tariff_id=contract["TariffId"] if contract else None,
    )


def _product_source(asked: ItemRequest, _whose: Buyer, found: ItemRecords) -> Source:
    sale = _require_record(asked, found)
    each = sale["ProductPrice"] if sale["Price"] is None else sale["Price"]
    return Source(
        SourceKind.PRODUCT,
        asked.id,
        sale["CoworkerId"],
        sale["BusinessId"],
        sale["ProductCurrencyCode"] or "",
        _price_or(asked, (each or 0) * sale["Quantity"]),
        product_id=sale["ProductId"],
    )


def _plan_source(asked: ItemRequest, _whose: Buyer, found: ItemRecords) -> Source:
    contract = _require_record(asked, found)
    price = contract["TariffPrice"] if contract["Price"] is None else contract["Price"]
    return Source(
        SourceKind.PLAN,
        asked.id,
        contract["CoworkerId"],
        contract["IssuedById"],
        contract["TariffCurrencyCode"] or "",
        _price_or(asked, price),
        tariff_id=contract["TariffId"],
    )


def _time_pass_source(asked: ItemRequest, buyer: Buyer, found: ItemRecords) -> Source:
    kind = _require_record(asked, found)
    return Source(
        SourceKind.TIME_PASS,
        asked.id,
        buyer.customer_id,
        kind["BusinessId"],
        kind["CurrencyCode"] or "",
        _price_or(asked, kind["Price"]),
        pass_id=asked.id,
    )


def _charge_source(asked: ItemRequest, buyer: Buyer, _found: ItemRecords) -> Source:
    if asked.amount is None:
        raise invalid_field("Amount", f"{asked.kind}/{asked.id} needs an amount")
    return _source_without_record(asked, buyer, asked.amount)


def _print_job_source(asked: ItemRequest, buyer: Buyer, _found: ItemRecords) -> Source:
    if asked.print_units <= 0:
        raise invalid_field("Units", f"{asked.kind}/{asked.id} needs its number of units")
    price = asked.print_units * STEPS_PER_PRINT_UNIT if asked.amount is None else asked.amount
    return _source_without_record(asked, buyer, price)


def _source_without_record(asked: ItemRequest, buyer: Buyer, price: Amount) -> Source:
    if buyer.business_id is None:
        raise invalid_field("Business", f"{asked.kind}/{asked.id} needs the location it belongs to")
    return Source(
        asked.kind,
        asked.id,
        buyer.customer_id,
        buyer.business_id,
        "",
        price,
        print_units=asked.print_units,
    )


_BUILDERS: Final[Mapping[SourceKind, Callable[[ItemRequest, Buyer, ItemRecords], Source]]] = {
    SourceKind.BOOKING: _booking_source,
    SourceKind.EVENT_ATTENDANCE: _attendance_source,
    SourceKind.INVOICE_LINE: _invoice_line_source,
    SourceKind.PRODUCT: _product_source,
    SourceKind.PLAN: _plan_source,
    SourceKind.TIME_PASS: _time_pass_source,
    SourceKind.CHARGE: _charge_source,
    SourceKind.PRINT_JOB: _print_job_source,
}
"""A time pass, a charge and a print job belong to whoever is said to pay; what has a record of its
own says there whose it is."""

LOCKED_ENTITIES: Final[Mapping[SourceKind, type[Entity]]] = {
    SourceKind.BOOKING: Booking,
    SourceKind.EVENT_ATTENDANCE: EventAttendee,
    SourceKind.INVOICE_LINE: CoworkerInvoiceLine,
    SourceKind.PRODUCT: CoworkerProduct,
    SourceKind.PLAN: CoworkerContract,
}
"""Sources that are one purchase each, and are locked so that none is settled twice at once."""


def _require_record(asked: ItemRequest, found: ItemRecords) -> Record:
    record = found.item(asked.kind, asked.id)
    if record is None:
        raise unknown_reference("Sources", f"{asked.kind}/{asked.id}")
    return record


def _price_or(asked: ItemRequest, default: Amount | None) -> Amount:
    return (default or 0) if asked.amount is None else asked.amount
