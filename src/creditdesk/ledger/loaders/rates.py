"""Rates: which one a booking is priced at, what a stay is worth in its units, and the pure value.

This module must not know credits or who pays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Final

from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.ledger.journal.mapping import where
from creditdesk.ledger.loaders.use_references import LocationClock
from creditdesk.ledger.rules.amounts import Amount, round_amount
from creditdesk.ledger.rules.credit import Rate
from creditdesk.ledger.rules.units import ChargePeriod, units
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import Finder

MINUTES_PER_HOUR: Final = 60
CURRENCY_DIGITS: Final = 2
_COLUMNS: Final = (
    "Id", "BusinessId", "Price", "CreditPrice", "ChargePeriod", "MaximumPrice", "IsDefaultPrice",
    "UsePerNightPricing", "CurrencyCode", "IsPrintingCredit", "IsBookingCredit", "ResourceTypes",
)  # fmt: skip


async def load_rates(finder: Finder, ids: Iterable[int | None]) -> dict[int, Record]:
    """The rates of these ids, as far as money is decided by them."""
    wanted = {rate_id for rate_id in ids if rate_id}
    if not wanted:
        return {}
    found = await finder.find(ExtraService, where(ExtraService, Id=wanted), columns=_COLUMNS)
    return {rate["Id"]: rate for rate in found}


async def load_booking_rates(finder: Finder, bookings: Sequence[Record]) -> dict[int, Record]:
    """Every rate that `booking_rate` may choose for one of these bookings."""
    rates = await load_rates(finder, [booking["ExtraServiceId"] for booking in bookings])
    unnamed = [booking for booking in bookings if not booking["ExtraServiceId"]]
    types = {b["ResourceResourceTypeId"] for b in unnamed if b["ResourceResourceTypeId"]}
    if types:
        places = where(ExtraService, BusinessId={b["ResourceBusinessId"] for b in unnamed})
        covers = Filter(
            ExtraService.meta().columns["ResourceTypes"], Comparison.OVERLAPS, tuple(types)
        )
        found = await finder.find(ExtraService, (*places, covers), columns=_COLUMNS)
        rates |= {rate["Id"]: rate for rate in found}
    return rates


def select_booking_rate(booking: Record, rates: Iterable[Record]) -> Record | None:
    """The rate of a booking: the one it names, else the default or cheapest for its type."""
    if booking["ExtraServiceId"]:
        return next((rate for rate in rates if rate["Id"] == booking["ExtraServiceId"]), None)
    fitting = [
        rate
        for rate in rates
        if rate["BusinessId"] == booking["ResourceBusinessId"]
        and booking["ResourceResourceTypeId"] in rate["ResourceTypes"]
        and not (rate["IsPrintingCredit"] or rate["IsBookingCredit"])
    ]
    return min(fitting, key=lambda r: (not r["IsDefaultPrice"], r["Price"], r["Id"]), default=None)


def total_price(price: Amount | None, rate: Record, all_units: int) -> Amount | None:
    """What all units cost at a rate's price; a minutes rate says its price by the hour."""
    if price is None:
        return None
    if rate["ChargePeriod"] == ChargePeriod.MINUTES:
        return round_amount(Fraction(price * all_units, MINUTES_PER_HOUR), CURRENCY_DIGITS)
    return price * all_units


def booking_units(rate: Record, starts: datetime, ends: datetime, clock: LocationClock) -> int:
    """The units of a stay at a rate, by the location's clock (rule 20)."""
    return units(
        ChargePeriod(rate["ChargePeriod"]),
        starts,
        ends,
        clock.zone,
        interval_minutes=clock.interval_minutes,
        per_night=bool(rate["UsePerNightPricing"]),
    )


def to_rate(record: Record) -> Rate:
    """The rate as the pure core knows it."""
    return Rate(
        record["Id"],
        ChargePeriod(record["ChargePeriod"]),
        record["Price"],
        record["CreditPrice"],
        frozenset(record["ResourceTypes"]),
        bool(record["IsPrintingCredit"]),
    )
