"""Units of a booking: from its length to the uses it needs (rule 20).

There is no unit of hours: an hourly rate counts minutes. Dates and months are those of the
location's time zone. Minutes are elapsed minutes, so a night in which clocks change is an hour
shorter or longer.
"""

from datetime import datetime, timedelta
from enum import IntEnum
from zoneinfo import ZoneInfo

from creditdesk.ledger.rules.calendar import MONTHS_PER_YEAR, add_local_months, local_date, within_calendar

DEFAULT_INTERVAL_MINUTES = 15
DAYS_PER_WEEK = 7
DAYS_PER_FOUR_WEEKS = 28

_SMALLEST_STEP = timedelta(microseconds=1)


class ChargePeriod(IntEnum):
    """The unit in which a rate charges and its time credit counts; values as in the API."""

    MINUTES = 1
    DAYS = 2
    WEEKS = 3
    MONTHS = 4
    USES = 5
    FOUR_WEEK_MONTHS = 6


def units(
    period: ChargePeriod,
    starts: datetime,
    ends: datetime,
    zone: ZoneInfo,
    *,
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES,
    per_night: bool = False,
) -> int:
    """How many units of `period` a booking from `starts` to `ends` needs, at least 1 (rule 20).

    With `per_night` nights are counted as days, also for weeks and four-week months. Raises
    ValueError when the booking does not end after it starts.
    """
    if ends <= starts:
        raise ValueError("a booking ends after it starts")
    match period:
        case ChargePeriod.MINUTES:
            return minutes(starts, ends, interval_minutes)
        case ChargePeriod.DAYS:
            return days(starts, ends, zone, per_night=per_night)
        case ChargePeriod.WEEKS:
            return _ceil_div(days(starts, ends, zone, per_night=per_night), DAYS_PER_WEEK)
        case ChargePeriod.FOUR_WEEK_MONTHS:
            return _ceil_div(days(starts, ends, zone, per_night=per_night), DAYS_PER_FOUR_WEEKS)
        case ChargePeriod.MONTHS:
            return months(starts, ends, zone)
        case ChargePeriod.USES:
            return 1


def minutes(starts: datetime, ends: datetime, interval_minutes: int) -> int:
    """Elapsed minutes, rounded up to whole booking intervals."""
    interval = timedelta(minutes=interval_minutes)
    return -((starts - ends) // interval) * interval_minutes


def days(starts: datetime, ends: datetime, zone: ZoneInfo, *, per_night: bool = False) -> int:
    """Distinct local dates, or nights between the first and last date; at least 1."""
    first = local_date(starts, zone)
    if per_night:
        return max(1, (local_date(ends, zone) - first).days)
    # An end at midnight does not count as the day that begins then.
    return (local_date(ends - _SMALLEST_STEP, zone) - first).days + 1


def months(starts: datetime, ends: datetime, zone: ZoneInfo) -> int:
    """The least n for which the start plus n calendar months (clamped) reaches the end."""
    starts, ends = within_calendar(starts), within_calendar(ends)
    first, last = local_date(starts, zone), local_date(ends, zone)
    # Start from the difference of the calendar months: fewer never reach the end.
    count = max(1, (last.year - first.year) * MONTHS_PER_YEAR + last.month - first.month)
    return count if add_local_months(starts, count, zone) >= ends else count + 1


def _ceil_div(count: int, size: int) -> int:
    return -(-count // size)
