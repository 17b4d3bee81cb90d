"""Calendar arithmetic in a location's time zone: clamped months, and where a day begins.

Results beyond the years 1 to 9999 become the first or last day that every zone has.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MONTHS_PER_YEAR = 12
FIRST_INSTANT = datetime(1, 1, 2, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 30, tzinfo=UTC)


def within_calendar(instant: datetime) -> datetime:
    """The instant, or the first or last one that has a local time in every zone."""
    return min(max(instant, FIRST_INSTANT), LAST_INSTANT)


def clamp_to_month(year: int, month: int, day: int) -> date:
    """That day of the month, or the last day of a shorter month (rules 20, 27)."""
    return date(year, month, min(day, monthrange(year, month)[1]))


def add_months(day: date, months: int) -> date:
    """`day` moved by calendar months; 31 January plus one month is 28 or 29 February."""
    year, month = divmod(day.year * MONTHS_PER_YEAR + day.month - 1 + months, MONTHS_PER_YEAR)
    if not date.min.year <= year <= date.max.year:
        return (FIRST_INSTANT if year < date.min.year else LAST_INSTANT).date()
    return clamp_to_month(year, month + 1, day.day)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """The local date at `instant`."""
    return within_calendar(instant).astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local date, in UTC; correct where clocks skip or repeat midnight."""
    within = min(max(day, FIRST_INSTANT.date()), LAST_INSTANT.date())
    return datetime.combine(within, time.min, zone).astimezone(UTC)


def add_local_days(instant: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same local time `days` later, in UTC."""
    local = within_calendar(instant).astimezone(zone)
    if days > (LAST_INSTANT.date() - local.date()).days:
        return LAST_INSTANT
    return (local + timedelta(days=days)).astimezone(UTC)


def add_local_months(instant: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The same local time `months` later, with the day clamped, in UTC."""
    local = within_calendar(instant).astimezone(zone)
    day = min(add_months(local.date(), months), LAST_INSTANT.date())
    return datetime.combine(day, local.timetz()).astimezone(UTC)
