"""When benefits begin, renew, roll over and expire (rules 27, 28).

Periods are local dates, the end excluded. A day begins at the location's midnight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.calendar import (
    MONTHS_PER_YEAR,
    add_local_days,
    add_local_months,
    add_months,
    clamp_to_month,
    local_date,
    start_of_day,
)
from creditdesk.ledger.rules.units import DAYS_PER_WEEK


class ServiceRenewalTime(IntEnum):
    """How often a plan's benefit renews; the values are those of the API."""

    WEEK = 1
    CALENDAR_MONTH = 2
    TARIFF_MONTH = 3
    YEAR = 4
    DAY = 5


class ExpirationType(IntEnum):
    """The unit of a product benefit's lifetime; the values are those of the API."""

    PRICE_PLAN = 1
    DAY = 2
    WEEK = 3
    MONTH = 4
    YEAR = 5
    LAST_DAY_OF_MONTH = 6


@dataclass(frozen=True, slots=True)
class RenewalPeriod:
    """From `starts` up to, but excluding, `ends`."""

    starts: date
    ends: date

    def valid_from(self, zone: ZoneInfo) -> datetime:
        """The instant from which the period's grant is valid."""
        return start_of_day(self.starts, zone)

    def expires(self, zone: ZoneInfo) -> datetime:
        """The instant at which the rest of the period's grant expires (rule 27)."""
        return start_of_day(self.ends, zone)


def renewal_period(
    renewal: ServiceRenewalTime, day: date, started: date, billing_day: int | None = None
) -> RenewalPeriod:
    """The renewal period that contains `day`, for a contract that `started` (rule 27).

    Weeks and years count from the contract's start, tariff months from the billing day (None: the
    day of the start), calendar months from the first. The first period begins with the contract.
    Days are clamped to short months. Raises ValueError for a day before the start.
    """
    if day < started:
        raise ValueError("no benefit renews before its contract starts")
    match renewal:
        case ServiceRenewalTime.DAY:
            period = RenewalPeriod(day, day + timedelta(days=1))
        case ServiceRenewalTime.WEEK:
            first = day - timedelta(days=(day - started).days % DAYS_PER_WEEK)
            period = RenewalPeriod(first, first + timedelta(days=DAYS_PER_WEEK))
        case ServiceRenewalTime.CALENDAR_MONTH:
            period = _month_starting(1, day)
        case ServiceRenewalTime.TARIFF_MONTH:
            period = _month_starting(billing_day or started.day, day)
        case ServiceRenewalTime.YEAR:
            years = day.year - started.year
            years -= day < add_months(started, MONTHS_PER_YEAR * years)
            period = RenewalPeriod(
                add_months(started, MONTHS_PER_YEAR * years),
                add_months(started, MONTHS_PER_YEAR * (years + 1)),
            )
    return RenewalPeriod(max(period.starts, started), period.ends)


@lru_cache(maxsize=1024)
def _month_starting(first_day: int, day: date) -> RenewalPeriod:
    """The month from one `first_day` to the next, clamped in short months."""
    starts = clamp_to_month(day.year, day.month, first_day)
    if day < starts:
        before = add_months(day.replace(day=1), -1)
        return RenewalPeriod(clamp_to_month(before.year, before.month, first_day), starts)
    after = add_months(day.replace(day=1), 1)
    return RenewalPeriod(starts, clamp_to_month(after.year, after.month, first_day))


def periods_due(
    renewal: ServiceRenewalTime,
    started: date,
    today: date,
    *,
    billing_day: int | None = None,
    first_day: date | None = None,
    last_granted: date | None = None,
    ended: date | None = None,
) -> Iterator[RenewalPeriod]:
    """The periods to grant by `today`, oldest first; a missed run is caught up (rule 27).

    `last_granted` is the first day of the last period granted, of any start that the contract had.
    Before the first grant it is None, and the first period is that of `first_day` (None: the day of
    the start). No period begins on or after `ended`, the day the contract ends.
    """
    day = started
    if last_granted is not None:
        if last_granted >= started:
            day = renewal_period(renewal, last_granted, started, billing_day).ends
    elif first_day is not None and first_day > today:
        return
    elif first_day is not None and first_day > started:
        day = renewal_period(renewal, first_day, started, billing_day).starts
    while day <= today and (ended is None or day < ended):
        period = renewal_period(renewal, day, started, billing_day)
        yield period
        day = period.ends


def renewal_key(contract: str, benefit: str, period: RenewalPeriod) -> str:
    """The unique key of one renewal, so that none is granted twice (rule 27)."""
    return f"{contract}/{benefit}/{period.starts.isoformat()}"


class MissingMainContract(ValueError):
    """A benefit ends with the plan's billing period, but the customer has no main contract."""


def product_expiry(
    expiration: ExpirationType,
    expires_in: int | None,
    released: datetime,
    zone: ZoneInfo,
    *,
    plan_period: RenewalPeriod | None = None,
) -> datetime:
    """When a product benefit released at `released` expires (rule 27).

    Days to years end at the same local time, clamped. LastDayOfMonth 1 is the end of the month of
    the release, 2 the end of the next. PricePlan is the end of the main contract's billing period
    and ignores `expires_in`. An `expires_in` of None is 1. Raises MissingMainContract for a
    PricePlan without a period, ValueError for less than 1.
    """
    count = 1 if expires_in is None else expires_in
    if count < 1 and expiration is not ExpirationType.PRICE_PLAN:
        raise ValueError("a benefit lasts at least one period")
    match expiration:
        case ExpirationType.PRICE_PLAN:
            if plan_period is None:
                raise MissingMainContract("the benefit ends with a plan's period, but there is no plan")
            return plan_period.expires(zone)
        case ExpirationType.DAY:
            return add_local_days(released, count, zone)
        case ExpirationType.WEEK:
            return add_local_days(released, count * DAYS_PER_WEEK, zone)
        case ExpirationType.MONTH:
            return add_local_months(released, count, zone)
        case ExpirationType.YEAR:
            return add_local_months(released, count * MONTHS_PER_YEAR, zone)
        case ExpirationType.LAST_DAY_OF_MONTH:
            first_of_month = local_date(released, zone).replace(day=1)
            return start_of_day(add_months(first_of_month, count), zone)


@dataclass(frozen=True, slots=True)
class RolloverLimit:
    """How much of an expiring grant rolls over: at most `cap`, at most `periods` times."""

    cap: Amount
    periods: int


def rollover_amount(unused: Amount, limit: RolloverLimit | None, times_rolled: int = 0) -> Amount:
    """The amount of the new grant linked to the expiring one; 0 unless roll-over is on (rule 27).

    `times_rolled` is how often the unused amount has rolled over before.
    """
    if limit is None or times_rolled >= limit.periods:
        return 0
    return max(0, min(unused, limit.cap))


def has_expired(expires: datetime | None, at: datetime) -> bool:
    """Whether a credit is expired at `at`; it is usable strictly before its expiry (rules 12, 28)."""
    return expires is not None and expires <= at


def reopens_credit(expires: datetime | None, extended: datetime | None, at: datetime) -> bool:
    """Whether a new expiry makes an expired credit usable again: a reopening entry (rule 28)."""
    return has_expired(expires, at) and not has_expired(extended, at)
