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
from creditdesk.ledger.journal.context import Clockwork
from creditdesk.ledger.journal.mapping import may_see, unknown
from creditdesk.ledger.loaders.items import Purchases, read_currencies, read_purchases
from creditdesk.ledger.loaders.rates import booking_rate, price_at, rate_of, units_of
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import Source, SourceKey, SourceKind
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Invalid, invalid
from creditdesk.schema.fields import fold
from creditdesk.schema.repository import Finding
from creditdesk.schema.service import Call

STEPS_PER_PRINT_UNIT: Final = 100
"""One printing unit is worth a hundredth of the currency."""


@dataclass(frozen=True, slots=True)
class Asked:
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
class Whose:
    """The customer that pays, and the location of what has no record of its own."""

    customer_id: int
    business_id: int | None = None


@dataclass(frozen=True, slots=True)
class AskedBasket:
    """A basket as a caller names it.

    What a source was already paid by earlier spends is no longer part of its price, unless it is
    to be decided `as_unpaid`.
    """

    whose: Whose
    asked: tuple[Asked, ...]
    call: Call
    as_unpaid: bool = False

    @property
    def marks(self) -> frozenset[int | SourceKey]:
        """What two baskets that are read before either is drawn must not have in common: the
        customer, and sources, of which each is settled once; a kind of pass is sold to many.
        """
        sold_once = (each for each in self.asked if each.kind is not SourceKind.TIME_PASS)
        return frozenset({self.whose.customer_id, *(each.key for each in sold_once)})


async def read_sources(
    finding: Finding, baskets: Sequence[AskedBasket]
) -> list[tuple[Source, ...] | Invalid]:
    """The sources of each basket with their prices, or why it cannot be: one is not there, or is
    another customer's.
    """
    named = ((each.kind, each.id) for basket in baskets for each in basket.asked)
    found = await read_purchases(finding, named)
    read = [_sources(basket, found) for basket in baskets]
    sources = [source for each in read if not isinstance(each, Invalid) for source in each]
    places = {source.business_id for source in sources if not source.currency}
    others = await read_currencies(finding, places - found.currencies.keys())
    currencies = {**found.currencies, **others}
    return [
        each if isinstance(each, Invalid) else tuple(_in_currency(s, currencies) for s in each)
        for each in read
    ]


def _sources(basket: AskedBasket, found: Purchases) -> tuple[Source, ...] | Invalid:
    try:
        return tuple(_source(each, basket.whose, basket.call, found) for each in basket.asked)
    except Invalid as refusal:
        return refusal


def _source(asked: Asked, whose: Whose, call: Call, found: Purchases) -> Source:
    source = _MADE[asked.kind](asked, whose, found)
    if not may_see(call.caller, source.business_id):
        raise unknown("Sources", str(source.key))
    if source.customer_id != whose.customer_id:
        raise invalid("Sources", f"{source.key} is not of this customer")
    return source


def _in_currency(source: Source, currencies: Mapping[int, str]) -> Source:
    """What has no currency of its own is paid in its location's."""
    if source.currency:
        return source
    return replace(source, currency=currencies.get(source.business_id, ""))


def _booking(asked: Asked, _whose: Whose, found: Purchases) -> Source:
    booking = _record(asked, found)
    business_id = booking["ResourceBusinessId"]
    if business_id is None:
        raise unknown("Sources", f"booking/{asked.id}")
    starts, ends = asked.starts or booking["FromTime"], asked.ends or booking["ToTime"]
    if ends <= starts:
        raise invalid("Sources", f"booking/{asked.id} does not end after it starts")
    clock = found.clocks.get(business_id, Clockwork())
    rate = booking_rate(booking, found.rates.values())
    price, credit_price = asked.amount, None
    if rate is not None:
        count = units_of(rate, starts, ends, clock)
        credit_price = price_at(rate["CreditPrice"], rate, count)
        if price is None:
            price = price_at(rate["Price"], rate, count)
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
        rate=rate_of(rate) if rate else None,
    )


def _attendance(asked: Asked, _whose: Whose, found: Purchases) -> Source:
    attendee = _record(asked, found)
    event = found.events.get(attendee["CalendarEventId"])
    return Source(
        SourceKind.EVENT_ATTENDANCE,
        asked.id,
        attendee["CoworkerId"] or 0,
        attendee["BusinessId"],
        attendee["EventProductCurrencyCode"] or "",
        _price(asked, attendee["EventProductPrice"]),
        starts=event["StartDate"] if event else None,
        ends=event["EndDate"] if event else None,
        event_categories=frozenset(event["EventCategories"]) if event else frozenset(),
    )


def _invoice_line(asked: Asked, _whose: Whose, found: Purchases) -> Source:
    line = _record(asked, found)
    invoice = found.invoices.get(line["CoworkerInvoiceId"])
    if invoice is None:
        raise unknown("Sources", f"invoice_line/{asked.id}")
    sold = found.sold.get(fold(line["CoworkerProductUniqueId"] or ""))
    contract = found.contracts.get(fold(line["CoworkerContractUniqueId"] or ""))
    return Source(
        SourceKind.INVOICE_LINE,
        asked.id,
        invoice["CoworkerId"] or 0,
        invoice["BusinessId"],
        line["CoworkerInvoiceCurrencyCode"] or "",
        _price(asked, max(0, line["SubTotal"] + line["TaxAmount"])),
        product_id=sold["ProductId"] if sold else None,
        tariff_id=contract["TariffId"] if contract else None,
    )


def _product(asked: Asked, _whose: Whose, found: Purchases) -> Source:
    sale = _record(asked, found)
    each = sale["ProductPrice"] if sale["Price"] is None else sale["Price"]
    return Source(
        SourceKind.PRODUCT,
        asked.id,
        sale["CoworkerId"],
        sale["BusinessId"],
        sale["ProductCurrencyCode"] or "",
        _price(asked, (each or 0) * sale["Quantity"]),
        product_id=sale["ProductId"],
    )


def _plan(asked: Asked, _whose: Whose, found: Purchases) -> Source:
    contract = _record(asked, found)
    price = contract["TariffPrice"] if contract["Price"] is None else contract["Price"]
    return Source(
        SourceKind.PLAN,
        asked.id,
        contract["CoworkerId"],
        contract["IssuedById"],
        contract["TariffCurrencyCode"] or "",
        _price(asked, price),
        tariff_id=contract["TariffId"],
    )


def _time_pass(asked: Asked, whose: Whose, found: Purchases) -> Source:
    kind = _record(asked, found)
    return Source(
        SourceKind.TIME_PASS,
        asked.id,
        whose.customer_id,
        kind["BusinessId"],
        kind["CurrencyCode"] or "",
        _price(asked, kind["Price"]),
        pass_id=asked.id,
    )


def _charge(asked: Asked, whose: Whose, _found: Purchases) -> Source:
    if asked.amount is None:
        raise invalid("Amount", f"{asked.kind}/{asked.id} needs an amount")
    return _without_record(asked, whose, asked.amount)


def _print_job(asked: Asked, whose: Whose, _found: Purchases) -> Source:
    if asked.print_units <= 0:
        raise invalid("Units", f"{asked.kind}/{asked.id} needs its number of units")
    price = asked.print_units * STEPS_PER_PRINT_UNIT if asked.amount is None else asked.amount
    return _without_record(asked, whose, price)


def _without_record(asked: Asked, whose: Whose, price: Amount) -> Source:
    if whose.business_id is None:
        raise invalid("Business", f"{asked.kind}/{asked.id} needs the location it belongs to")
    return Source(
        asked.kind,
        asked.id,
        whose.customer_id,
        whose.business_id,
        "",
        price,
        print_units=asked.print_units,
    )


_MADE: Final[Mapping[SourceKind, Callable[[Asked, Whose, Purchases], Source]]] = {
    SourceKind.BOOKING: _booking,
    SourceKind.EVENT_ATTENDANCE: _attendance,
    SourceKind.INVOICE_LINE: _invoice_line,
    SourceKind.PRODUCT: _product,
    SourceKind.PLAN: _plan,
    SourceKind.TIME_PASS: _time_pass,
    SourceKind.CHARGE: _charge,
    SourceKind.PRINT_JOB: _print_job,
}
"""A time pass, a charge and a print job belong to whoever is said to pay; what has a record of its
own says there whose it is."""

ENTITIES: Final[Mapping[SourceKind, type[Entity]]] = {
    SourceKind.BOOKING: Booking,
    SourceKind.EVENT_ATTENDANCE: EventAttendee,
    SourceKind.INVOICE_LINE: CoworkerInvoiceLine,
    SourceKind.PRODUCT: CoworkerProduct,
    SourceKind.PLAN: CoworkerContract,
}
"""Sources that are one purchase each, and are locked so that none is settled twice at once."""


def _record(asked: Asked, found: Purchases) -> Record:
    record = found.source(asked.kind, asked.id)
    if record is None:
        raise unknown("Sources", f"{asked.kind}/{asked.id}")
    return record


def _price(asked: Asked, found: Amount | None) -> Amount:
    return (found or 0) if asked.amount is None else asked.amount
