"""What is to be paid, read from the records: a booking, a ticket, an invoice line, a sale, a charge.

This module must not know credits, nor who pays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice import CoworkerInvoice
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.amounts import Amount, round_amount
from creditdesk.ledger.credit import Source, SourceKind
from creditdesk.ledger.facts import Clockwork, read_clocks
from creditdesk.ledger.records import may_see, unknown, where
from creditdesk.ledger.units import ChargePeriod, units
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.refusals import invalid
from creditdesk.schema.store import Reading
from creditdesk.schema.writing import Call

MINUTES_PER_HOUR: Final = 60
STEPS_PER_PRINT_UNIT: Final = 100
"""One printing unit is worth a hundredth of the currency."""
CURRENCY_DIGITS: Final = 2


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


@dataclass(frozen=True, slots=True)
class Whose:
    """The customer that pays, and the location of what has no record of its own."""

    customer_id: int
    business_id: int | None = None


async def read_source(reading: Reading, asked: Asked, whose: Whose, call: Call) -> Source:
    """The source with its price. Raises Invalid when it is not there, or another customer's."""
    if asked.kind in _RECORDED:
        source = await _RECORDED[asked.kind](reading, asked)
    else:
        source = await _SAID[asked.kind](reading, asked, whose)
    if not may_see(call.caller, source.business_id):
        raise unknown("Sources", str(source.key))
    if source.customer_id != whose.customer_id:
        raise invalid("Sources", f"{source.key} is not of this customer")
    return source


async def booking_rate(reading: Reading, booking: Record, resource: Record) -> Record | None:
    """The rate of a booking: the one it names, else the default or cheapest for its type."""
    if booking["ExtraServiceId"]:
        return await reading.get(ExtraService, booking["ExtraServiceId"])
    rates = await reading.find(ExtraService, where(ExtraService, BusinessId=resource["BusinessId"]))
    whole = await reading.many(
        ExtraService,
        [r["Id"] for r in rates if not r["IsPrintingCredit"] and not r["IsBookingCredit"]],
    )
    fitting = [r for r in whole.values() if resource["ResourceTypeId"] in r["ResourceTypes"]]
    ordered = sorted(fitting, key=lambda r: (not r["IsDefaultPrice"], r["Price"], r["Id"]))
    return ordered[0] if ordered else None


def price_at(price: Amount | None, rate: Record, all_units: int) -> Amount | None:
    """What all units cost at a rate's price; a minutes rate says its price by the hour."""
    if price is None:
        return None
    if rate["ChargePeriod"] == ChargePeriod.MINUTES:
        return round_amount(Fraction(price * all_units, MINUTES_PER_HOUR), CURRENCY_DIGITS)
    return price * all_units


def units_of(rate: Record, starts: datetime, ends: datetime, clock: Clockwork) -> int:
    """The units of a stay at a rate, by the location's clock (rule 20)."""
    return units(
        ChargePeriod(rate["ChargePeriod"]),
        starts,
        ends,
        clock.zone,
        interval_minutes=clock.interval_minutes,
        per_night=bool(rate["UsePerNightPricing"]),
    )


async def _booking(reading: Reading, asked: Asked) -> Source:
    booking = await _record(reading, Booking, asked)
    resource = await reading.get(Resource, booking["ResourceId"])
    if resource is None:
        raise unknown("Sources", f"booking/{asked.id}")
    business_id = resource["BusinessId"]
    starts, ends = asked.starts or booking["FromTime"], asked.ends or booking["ToTime"]
    if ends <= starts:
        raise invalid("Sources", f"booking/{asked.id} does not end after it starts")
    clock = (await read_clocks(reading, [business_id])).get(business_id, Clockwork())
    rate = await booking_rate(reading, booking, resource)
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
        (rate and rate["CurrencyCode"]) or await _currency(reading, business_id),
        price or 0,
        credit_price,
        starts,
        ends,
        resource["ResourceTypeId"],
        tentative=booking["Tentative"],
        refuses_credit=booking["DoNotUseBookingCredit"],
        per_night=bool(rate and rate["UsePerNightPricing"]),
        zone=clock.zone,
        interval_minutes=clock.interval_minutes,
    )


async def _attendance(reading: Reading, asked: Asked) -> Source:
    attendee = await _record(reading, EventAttendee, asked)
    event = await reading.get(CalendarEvent, attendee["CalendarEventId"])
    currency = attendee["EventProductCurrencyCode"]
    return Source(
        SourceKind.EVENT_ATTENDANCE,
        asked.id,
        attendee["CoworkerId"] or 0,
        attendee["BusinessId"],
        currency or await _currency(reading, attendee["BusinessId"]),
        _price(asked, attendee["EventProductPrice"]),
        starts=event["StartDate"] if event else None,
        ends=event["EndDate"] if event else None,
        event_categories=frozenset(event["EventCategories"]) if event else frozenset(),
    )


async def _invoice_line(reading: Reading, asked: Asked) -> Source:
    line = await _record(reading, CoworkerInvoiceLine, asked)
    invoice = await reading.get(CoworkerInvoice, line["CoworkerInvoiceId"])
    if invoice is None:
        raise unknown("Sources", f"invoice_line/{asked.id}")
    sold = await _by_unique_id(reading, CoworkerProduct, line["CoworkerProductUniqueId"])
    contract = await _by_unique_id(reading, CoworkerContract, line["CoworkerContractUniqueId"])
    return Source(
        SourceKind.INVOICE_LINE,
        asked.id,
        invoice["CoworkerId"] or 0,
        invoice["BusinessId"],
        line["CoworkerInvoiceCurrencyCode"] or await _currency(reading, invoice["BusinessId"]),
        _price(asked, max(0, line["SubTotal"] + line["TaxAmount"])),
        product_id=sold["ProductId"] if sold else None,
        tariff_id=contract["TariffId"] if contract else None,
    )


async def _product(reading: Reading, asked: Asked) -> Source:
    sale = await _record(reading, CoworkerProduct, asked)
    each = sale["ProductPrice"] if sale["Price"] is None else sale["Price"]
    return Source(
        SourceKind.PRODUCT,
        asked.id,
        sale["CoworkerId"],
        sale["BusinessId"],
        sale["ProductCurrencyCode"] or await _currency(reading, sale["BusinessId"]),
        _price(asked, (each or 0) * sale["Quantity"]),
        product_id=sale["ProductId"],
    )


async def _time_pass(reading: Reading, asked: Asked, whose: Whose) -> Source:
    kind = await _record(reading, TimePass, asked)
    return Source(
        SourceKind.TIME_PASS,
        asked.id,
        whose.customer_id,
        kind["BusinessId"],
        kind.get("CurrencyCode") or await _currency(reading, kind["BusinessId"]),
        _price(asked, kind["Price"]),
        pass_id=asked.id,
    )


async def _plan(reading: Reading, asked: Asked) -> Source:
    contract = await _record(reading, CoworkerContract, asked)
    price = contract["TariffPrice"] if contract["Price"] is None else contract["Price"]
    return Source(
        SourceKind.PLAN,
        asked.id,
        contract["CoworkerId"],
        contract["IssuedById"],
        contract["TariffCurrencyCode"] or await _currency(reading, contract["IssuedById"]),
        _price(asked, price),
        tariff_id=contract["TariffId"],
    )


async def _charge(reading: Reading, asked: Asked, whose: Whose) -> Source:
    if asked.amount is None:
        raise invalid("Amount", f"{asked.kind}/{asked.id} needs an amount")
    return await _without_record(reading, asked, whose, asked.amount)


async def _print_job(reading: Reading, asked: Asked, whose: Whose) -> Source:
    if asked.print_units <= 0:
        raise invalid("Units", f"{asked.kind}/{asked.id} needs its number of units")
    price = asked.print_units * STEPS_PER_PRINT_UNIT if asked.amount is None else asked.amount
    return await _without_record(reading, asked, whose, price)


async def _without_record(reading: Reading, asked: Asked, whose: Whose, price: Amount) -> Source:
    if whose.business_id is None:
        raise invalid("Business", f"{asked.kind}/{asked.id} needs the location it belongs to")
    return Source(
        asked.kind,
        asked.id,
        whose.customer_id,
        whose.business_id,
        await _currency(reading, whose.business_id),
        price,
        print_units=asked.print_units,
    )


_RECORDED: Final[Mapping[SourceKind, Callable[[Reading, Asked], Awaitable[Source]]]] = {
    SourceKind.BOOKING: _booking,
    SourceKind.EVENT_ATTENDANCE: _attendance,
    SourceKind.INVOICE_LINE: _invoice_line,
    SourceKind.PRODUCT: _product,
    SourceKind.PLAN: _plan,
}
"""Sources whose record says whose they are."""

_SAID: Final[Mapping[SourceKind, Callable[[Reading, Asked, Whose], Awaitable[Source]]]] = {
    SourceKind.TIME_PASS: _time_pass,
    SourceKind.CHARGE: _charge,
    SourceKind.PRINT_JOB: _print_job,
}
"""Sources that belong to whoever is said to pay."""

ENTITIES: Final[Mapping[SourceKind, type[Entity]]] = {
    SourceKind.BOOKING: Booking,
    SourceKind.EVENT_ATTENDANCE: EventAttendee,
    SourceKind.INVOICE_LINE: CoworkerInvoiceLine,
    SourceKind.PRODUCT: CoworkerProduct,
    SourceKind.PLAN: CoworkerContract,
}
"""Sources that are one purchase each, and are locked so that none is settled twice at once."""


async def _record(reading: Reading, entity: type[Entity], asked: Asked) -> Record:
    record = await reading.get(entity, asked.id)
    if record is None:
        raise unknown("Sources", f"{asked.kind}/{asked.id}")
    return record


async def _by_unique_id(
    reading: Reading, entity: type[Entity], unique_id: str | None
) -> Record | None:
    if not unique_id:
        return None
    found = await reading.find(entity, where(entity, UniqueId=unique_id), limit=1)
    return found[0] if found else None


async def _currency(reading: Reading, business_id: int) -> str:
    business = await reading.get(Business, business_id)
    return (business and business["CurrencyCode"]) or ""


def _price(asked: Asked, found: Amount | None) -> Amount:
    return (found or 0) if asked.amount is None else asked.amount
