"""Items: what a basket pays for. Requests as a caller makes them become sources with prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from msgspec.structs import replace

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_invoice_line import CoworkerInvoiceLine
from creditdesk.entities.billing.coworker_product import CoworkerProduct
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import unknown_reference
from creditdesk.ledger.loaders.bookings import BookingRow
from creditdesk.ledger.loaders.contracts import PricedContract
from creditdesk.ledger.loaders.events import AttendeeRow
from creditdesk.ledger.loaders.invoices import InvoiceLineRow
from creditdesk.ledger.loaders.item_loader import PricedItems, load_priced_items
from creditdesk.ledger.loaders.locations import DEFAULT_CLOCK, load_currencies
from creditdesk.ledger.loaders.rates import RateRow, select_booking_rate, total_price
from creditdesk.ledger.loaders.rows import TypedRow
from creditdesk.ledger.loaders.sales import PassRow, PricedSale
from creditdesk.ledger.rules.amounts import Amount, currency_digits, round_to_currency, smallest_amount
from creditdesk.ledger.rules.credit import BookingQuote, Source, SourceKey, SourceKind
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import ValidationError, invalid_field
from creditdesk.schema.repository import Finder, WriteSession
from creditdesk.schema.service import RequestContext

STEPS_PER_PRINT_UNIT: Final = 100
"""One printing unit is worth a hundredth of the currency."""

R = TypeVar("R", bound=TypedRow)


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """An item as a caller names it; what is None is read from its record.

    `amount` is in ten-thousandths of the currency, `print_units` in uses. `quote` is an earlier price
    of a booking; it stands unless what was priced has changed (rule 22).
    """

    kind: SourceKind
    id: int
    amount: Amount | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    print_units: int = 0
    quote: BookingQuote | None = None

    @property
    def key(self) -> SourceKey:
        return SourceKey(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer that pays, and the location of items without a record of their own."""

    customer_id: int
    business_id: int | None = None


@dataclass(frozen=True, slots=True)
class BasketRequest:
    """A basket as a caller names it.

    What earlier spends covered of an item is deducted from its price unless `ignore_covered`.
    """

    buyer: Buyer
    items: tuple[ItemRequest, ...]
    context: RequestContext
    ignore_covered: bool = False

    @property
    def conflict_keys(self) -> frozenset[int | SourceKey]:
        """The customer and the items: two baskets that share one may not be loaded in one batch.

        Passes are no conflict: one kind of pass is sold to many customers.
        """
        sold_once = (item for item in self.items if item.kind is not SourceKind.TIME_PASS)
        return frozenset({self.buyer.customer_id, *(item.key for item in sold_once)})


LOCKED_ENTITIES: Final[Mapping[SourceKind, type[Entity]]] = {
    SourceKind.BOOKING: Booking,
    SourceKind.EVENT_ATTENDANCE: EventAttendee,
    SourceKind.INVOICE_LINE: CoworkerInvoiceLine,
    SourceKind.PRODUCT: CoworkerProduct,
    SourceKind.PLAN: CoworkerContract,
}
"""Items that are one purchase each: locked, so that two spends never settle the same one."""


async def lock_items(
    session: WriteSession, items: Sequence[ItemRequest], *, skip_locked: Sequence[ItemRequest] = ()
) -> set[SourceKey]:
    """Locks items that are one purchase each, by kind and then in id order.

    Returns those of `skip_locked` that were not locked: another session holds them, or they do
    not exist.
    """
    missed: set[SourceKey] = set()
    for kind in sorted(LOCKED_ENTITIES):
        required = [item.id for item in items if item.kind is kind]
        optional = [item.id for item in skip_locked if item.kind is kind]
        found = await session.lock(LOCKED_ENTITIES[kind], required, ("Id",), skip_locked=optional)
        missed |= {SourceKey(kind, item_id) for item_id in optional if item_id not in found}
    return missed


async def load_sources(finder: Finder, baskets: Sequence[BasketRequest]) -> list[tuple[Source, ...] | ValidationError]:
    """The sources of each basket with their prices.

    A basket with an item that is missing, invisible or another customer's gets a ValidationError.
    """
    items = [item for basket in baskets for item in basket.items]
    quoted_rates = {item.quote.rate.id for item in items if item.quote and item.quote.rate}
    loaded = await load_priced_items(finder, (item.key for item in items), quoted_rates)
    built = [_build_sources(basket, loaded) for basket in baskets]
    sources = [source for each in built if not isinstance(each, ValidationError) for source in each]
    locations = {source.business_id for source in sources if not source.currency}
    others = await load_currencies(finder, locations - loaded.currencies.keys())
    currencies = {**loaded.currencies, **others}
    return [
        each
        if isinstance(each, ValidationError)
        else tuple(
            _with_quote(_in_currency(source, item, currencies), item, loaded)
            for source, item in zip(each, basket.items, strict=True)
        )
        for each, basket in zip(built, baskets, strict=True)
    ]


def _build_sources(basket: BasketRequest, loaded: PricedItems) -> tuple[Source, ...] | ValidationError:
    try:
        return tuple(_build_source(item, basket.buyer, basket.context, loaded) for item in basket.items)
    except ValidationError as error:
        return error


def _build_source(item: ItemRequest, buyer: Buyer, context: RequestContext, loaded: PricedItems) -> Source:
    try:
        source = _BUILDERS[item.kind](item, buyer, loaded)
    except ValueError as error:
        # A stored price below zero, or times that a source cannot have.
        raise invalid_field("Sources", str(error)) from None
    if not context.principal.sees_location(source.business_id):
        raise unknown_reference("Sources", str(source.key))
    if source.customer_id != buyer.customer_id:
        raise invalid_field("Sources", f"{source.key} is not of this customer")
    return source


def _in_currency(source: Source, item: ItemRequest, currencies: Mapping[int, str]) -> Source:
    """The source in its own currency, else its location's, with its prices in that (rule 3).

    An amount that the caller requests is kept as it is. A print job is never free.
    """
    currency = source.currency or currencies.get(source.business_id, "")
    price, credit_price = source.price, source.credit_price
    if item.amount is None:
        price = round_to_currency(price, currency)
        if item.print_units:
            price = max(price, smallest_amount(currency_digits(currency)))
    if credit_price is not None:
        credit_price = round_to_currency(credit_price, currency)
    return replace(source, currency=currency, price=price, credit_price=credit_price)


def _with_quote(source: Source, item: ItemRequest, loaded: PricedItems) -> Source:
    """The source at the price that was quoted for it earlier, or with the quote of its price now.

    An amount that the caller requests is no price of the booking.
    """
    booking = loaded.items.rows.get(item.key)
    if not isinstance(booking, BookingRow) or item.amount is not None or not source.starts or not source.ends:
        return source
    now = BookingQuote(
        source.starts,
        source.ends,
        booking.resource_id,
        booking.extra_service_id,
        booking.override_price,
        source.currency,
        source.price,
        source.credit_price,
        source.rate,
        source.per_night,
    )
    earlier = item.quote
    stands = (
        earlier is not None
        and earlier.basis == now.basis
        # A rate that was deleted meanwhile has no charge.
        and (earlier.rate is None or earlier.rate.id in loaded.rates)
    )
    if earlier is None or not stands:
        return replace(source, quote=now)
    return replace(
        source,
        currency=earlier.currency,
        price=earlier.price,
        credit_price=earlier.credit_price,
        rate=earlier.rate,
        per_night=earlier.per_night,
        quote=earlier,
    )


def _booking_source(item: ItemRequest, _buyer: Buyer, loaded: PricedItems) -> Source:
    booking = _require_row(item, loaded, BookingRow)
    business_id = booking.resource_business_id
    if business_id is None:
        raise unknown_reference("Sources", str(item.key))
    starts, ends = item.starts or booking.from_time, item.ends or booking.to_time
    if starts is None or ends is None:
        raise invalid_field("Sources", f"{item.key} has no times")
    if ends <= starts:
        raise invalid_field("Sources", f"{item.key} does not end after it starts")
    clock = loaded.clocks.get(business_id, DEFAULT_CLOCK)
    rate = select_booking_rate(booking, loaded.rates.values())
    units = rate.units(starts, ends, clock) if rate else 0
    currency = (rate.currency_code if rate else None) or loaded.currencies.get(business_id, "")
    return Source(
        SourceKind.BOOKING,
        item.id,
        booking.coworker_id or 0,
        business_id,
        currency,
        _booking_price(item, booking, rate, units, currency),
        total_price(rate.credit_price, rate, units, currency) if rate else None,
        starts,
        ends,
        booking.resource_resource_type_id,
        tentative=bool(booking.tentative),
        refuses_credit=bool(booking.do_not_use_booking_credit),
        per_night=bool(rate and rate.use_per_night_pricing),
        zone=clock.zone,
        interval_minutes=clock.interval_minutes,
        rate=rate.to_rate() if rate else None,
    )


def _booking_price(item: ItemRequest, booking: BookingRow, rate: RateRow | None, units: int, currency: str) -> Amount:
    """The requested amount, else the booking's own price, else the rate's up to its maximum."""
    if item.amount is not None:
        return item.amount
    if booking.override_price is not None:
        return booking.override_price
    if rate is None:
        return 0
    price = total_price(rate.price, rate, units, currency) or 0
    return min(price, rate.maximum_price) if rate.maximum_price else price


def _attendance_source(item: ItemRequest, _buyer: Buyer, loaded: PricedItems) -> Source:
    attendee = _require_row(item, loaded, AttendeeRow)
    event = loaded.items.events.get(attendee.calendar_event_id or 0)
    return Source(
        SourceKind.EVENT_ATTENDANCE,
        item.id,
        attendee.coworker_id or 0,
        attendee.business_id,
        attendee.event_product_currency_code or "",
        _price_or(item, attendee.event_product_price),
        starts=event.start_date if event else None,
        ends=event.end_date if event else None,
        event_categories=event.event_categories if event else frozenset(),
    )


def _invoice_line_source(item: ItemRequest, _buyer: Buyer, loaded: PricedItems) -> Source:
    line = _require_row(item, loaded, InvoiceLineRow)
    invoice = loaded.items.invoices.get(line.coworker_invoice_id)
    if invoice is None:
        raise unknown_reference("Sources", str(item.key))
    sale = loaded.sales.get(fold_case(line.coworker_product_unique_id or ""))
    contract = loaded.contracts.get(fold_case(line.coworker_contract_unique_id or ""))
    return Source(
        SourceKind.INVOICE_LINE,
        item.id,
        invoice.coworker_id or 0,
        invoice.business_id,
        line.coworker_invoice_currency_code or "",
        _price_or(item, max(0, line.sub_total + line.tax_amount)),
        product_id=sale.product_id if sale else None,
        tariff_id=contract.tariff_id if contract else None,
    )


def _product_source(item: ItemRequest, _buyer: Buyer, loaded: PricedItems) -> Source:
    sale = _require_row(item, loaded, PricedSale)
    unit_price = sale.product_price if sale.price is None else sale.price
    return Source(
        SourceKind.PRODUCT,
        item.id,
        sale.coworker_id or 0,
        sale.business_id,
        sale.product_currency_code or "",
        _price_or(item, (unit_price or 0) * sale.quantity),
        product_id=sale.product_id,
    )


def _plan_source(item: ItemRequest, _buyer: Buyer, loaded: PricedItems) -> Source:
    contract = _require_row(item, loaded, PricedContract)
    return Source(
        SourceKind.PLAN,
        item.id,
        contract.coworker_id or 0,
        contract.issued_by_id,
        contract.tariff_currency_code or "",
        _price_or(item, contract.tariff_price if contract.price is None else contract.price),
        tariff_id=contract.tariff_id,
    )


def _time_pass_source(item: ItemRequest, buyer: Buyer, loaded: PricedItems) -> Source:
    kind_of_pass = _require_row(item, loaded, PassRow)
    return Source(
        SourceKind.TIME_PASS,
        item.id,
        buyer.customer_id,
        kind_of_pass.business_id,
        kind_of_pass.currency_code or "",
        _price_or(item, kind_of_pass.price),
        pass_id=item.id,
    )


def _charge_source(item: ItemRequest, buyer: Buyer, _loaded: PricedItems) -> Source:
    if item.amount is None:
        raise invalid_field("Amount", f"{item.key} needs an amount")
    return _source_without_record(item, buyer, item.amount)


def _print_job_source(item: ItemRequest, buyer: Buyer, _loaded: PricedItems) -> Source:
    if item.print_units <= 0:
        raise invalid_field("Units", f"{item.key} needs its number of units")
    price = item.print_units * STEPS_PER_PRINT_UNIT if item.amount is None else item.amount
    return _source_without_record(item, buyer, price)


def _source_without_record(item: ItemRequest, buyer: Buyer, price: Amount) -> Source:
    if buyer.business_id is None:
        raise invalid_field("Business", f"{item.key} needs the location it belongs to")
    return Source(
        item.kind,
        item.id,
        buyer.customer_id,
        buyer.business_id,
        "",
        price,
        print_units=item.print_units,
    )


_BUILDERS: Final[Mapping[SourceKind, Callable[[ItemRequest, Buyer, PricedItems], Source]]] = {
    SourceKind.BOOKING: _booking_source,
    SourceKind.EVENT_ATTENDANCE: _attendance_source,
    SourceKind.INVOICE_LINE: _invoice_line_source,
    SourceKind.PRODUCT: _product_source,
    SourceKind.PLAN: _plan_source,
    SourceKind.TIME_PASS: _time_pass_source,
    SourceKind.CHARGE: _charge_source,
    SourceKind.PRINT_JOB: _print_job_source,
}
"""A pass, a charge and a print job belong to the buyer; other items to the customer on record."""


def _require_row(item: ItemRequest, loaded: PricedItems, row_type: type[R]) -> R:
    row = loaded.items.rows.get(item.key)
    if not isinstance(row, row_type):
        raise unknown_reference("Sources", str(item.key))
    return row


def _price_or(item: ItemRequest, default: Amount | None) -> Amount:
    return (default or 0) if item.amount is None else item.amount
