"""Rates: which one a booking is priced at, and what a stay costs in its units."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from fractions import Fraction
from typing import Final

from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.ledger.loaders.bookings import BookingRow
from creditdesk.ledger.loaders.locations import LocationClock
from creditdesk.ledger.loaders.rows import Flag, TypedRow, find_by_id, find_filtered, have_values
from creditdesk.ledger.rules.amounts import Amount, round_to_currency
from creditdesk.ledger.rules.credit import Rate
from creditdesk.ledger.rules.units import ChargePeriod, units
from creditdesk.schema.query import Comparison, Filter, where
from creditdesk.schema.repository import Finder

MINUTES_PER_HOUR: Final = 60


class RateRow(TypedRow, frozen=True, gc=False):
    """An `ExtraService`: what a resource costs by the unit, or the kind of a time credit."""

    entity = ExtraService

    business_id: int
    price: Amount
    credit_price: Amount | None
    charge_period: ChargePeriod
    maximum_price: Amount | None
    is_default_price: Flag
    use_per_night_pricing: Flag
    currency_code: str | None
    is_printing_credit: Flag
    is_booking_credit: Flag
    resource_types: frozenset[int]

    def to_rate(self) -> Rate:
        """The rate as the rules use it."""
        return Rate(
            self.id,
            self.charge_period,
            self.price,
            self.credit_price,
            self.resource_types,
        )

    def units(self, starts: datetime, ends: datetime, clock: LocationClock) -> int:
        """The units of a stay, counted by the location's clock (rule 20)."""
        return units(
            self.charge_period,
            starts,
            ends,
            clock.zone,
            interval_minutes=clock.interval_minutes,
            per_night=bool(self.use_per_night_pricing),
        )


class RateUnitRow(TypedRow, frozen=True, gc=False):
    """What decides the kind and the unit of the credits on a rate (rules 5, 20)."""

    entity = ExtraService

    is_printing_credit: Flag
    charge_period: ChargePeriod | None


async def load_rates(finder: Finder, rate_ids: Iterable[int | None]) -> dict[int, RateRow]:
    """The rates with these ids, by Id."""
    return await find_by_id(finder, RateRow, rate_ids)


async def load_booking_rates(
    finder: Finder, bookings: Collection[BookingRow], quoted_rates: Collection[int] = ()
) -> dict[int, RateRow]:
    """Every rate that `select_booking_rate` may choose for one of these bookings, by Id.

    Those of earlier quotes are among them where they still exist.
    """
    rates = await load_rates(finder, [*(booking.extra_service_id for booking in bookings), *quoted_rates])
    unnamed = [booking for booking in bookings if not booking.extra_service_id]
    types = {b.resource_resource_type_id for b in unnamed if b.resource_resource_type_id}
    if types:
        at_location = where(ExtraService, BusinessId={b.resource_business_id for b in unnamed})
        column = ExtraService.meta().columns["ResourceTypes"]
        priced = have_values(ExtraService, "Price", "ChargePeriod")
        for_types = Filter(column, Comparison.OVERLAPS, tuple(types))
        found = await find_filtered(finder, RateRow, (*at_location, for_types, *priced))
        rates |= {rate.id: rate for rate in found}
    return rates


def select_booking_rate(booking: BookingRow, rates: Iterable[RateRow]) -> RateRow | None:
    """The rate of a booking: the one it names, else the default or cheapest for its type."""
    if booking.extra_service_id:
        return next((rate for rate in rates if rate.id == booking.extra_service_id), None)
    matching = [
        rate
        for rate in rates
        if rate.business_id == booking.resource_business_id
        and booking.resource_resource_type_id in rate.resource_types
        and not (rate.is_printing_credit or rate.is_booking_credit)
    ]
    return min(matching, key=lambda r: (not r.is_default_price, r.price, r.id), default=None)


def total_price(price: Amount | None, rate: RateRow, unit_count: int, currency: str) -> Amount | None:
    """What all units cost at a price of the rate, in the currency's digits (rule 3).

    A minutes rate states its price by the hour.
    """
    if price is None:
        return None
    per_minute = rate.charge_period is ChargePeriod.MINUTES
    exact = Fraction(price * unit_count, MINUTES_PER_HOUR if per_minute else 1)
    return round_to_currency(exact, currency)
