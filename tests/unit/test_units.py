"""Units of bookings, as tables (rule 20)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.calendar import (
    add_local_days,
    add_local_months,
    add_months,
    start_of_day,
)
from creditdesk.ledger.rules.units import ChargePeriod, days, minutes, months, units

LONDON = ZoneInfo("Europe/London")
HAVANA = ZoneInfo("America/Havana")
CAIRO = ZoneInfo("Africa/Cairo")
NEW_YORK = ZoneInfo("America/New_York")
SYDNEY = ZoneInfo("Australia/Sydney")

proven = settings(deadline=None, max_examples=200)


def at(text: str, zone: ZoneInfo = LONDON) -> datetime:
    """Parses a local time; `*` marks the second of two equal local times."""
    local = datetime.fromisoformat(text.rstrip("*"))
    return local.replace(tzinfo=zone, fold=int(text.endswith("*"))).astimezone(UTC)


@pytest.mark.parametrize(
    ("starts", "ends", "interval", "expected"),
    [
        ("2026-06-01T09:00", "2026-06-01T10:00", 15, 60),
        ("2026-06-01T09:00", "2026-06-01T09:01", 15, 15),
        ("2026-06-01T09:00", "2026-06-01T09:15", 15, 15),
        ("2026-06-01T09:00", "2026-06-01T09:15:01", 15, 30),
        ("2026-06-01T09:07", "2026-06-01T10:00", 30, 60),
        ("2026-06-01T09:00", "2026-06-01T10:00", 1, 60),
        ("2026-06-01T22:00", "2026-06-02T01:30", 60, 240),
        # The night of the change to summer time is an hour shorter, the one back an hour longer.
        ("2026-03-28T22:00", "2026-03-29T06:00", 15, 7 * 60),
        ("2026-10-24T22:00", "2026-10-25T06:00", 15, 9 * 60),
        ("2026-10-25T01:30", "2026-10-25T01:30*", 15, 60),
        ("2026-03-29T00:30", "2026-03-29T02:30", 15, 60),
        ("2026-06-01T00:00", "2026-06-22T00:00", 15, 21 * 24 * 60),
    ],
)
def test_rule_20_elapsed_minutes_round_up_to_the_interval(starts: str, ends: str, interval: int, expected: int) -> None:
    assert minutes(at(starts), at(ends), interval) == expected
    assert units(ChargePeriod.MINUTES, at(starts), at(ends), LONDON, interval_minutes=interval) == expected


def test_rule_20_default_interval_is_15_minutes() -> None:
    starts = at("2026-06-01T09:00")

    assert units(ChargePeriod.MINUTES, starts, starts + timedelta(minutes=16), LONDON) == 30


@pytest.mark.parametrize(
    ("starts", "ends", "dates", "nights"),
    [
        ("2026-06-01T09:00", "2026-06-01T17:00", 1, 1),
        ("2026-06-01T00:00", "2026-06-02T00:00", 1, 1),
        ("2026-06-01T00:00", "2026-06-02T00:00:01", 2, 1),
        ("2026-06-01T23:59", "2026-06-02T00:01", 2, 1),
        ("2026-06-01T14:00", "2026-06-03T11:00", 3, 2),
        ("2026-06-01T14:00", "2026-06-03T00:00", 2, 2),
        ("2026-06-01T18:00", "2026-06-16T00:00", 15, 15),
        ("2026-02-27T12:00", "2026-03-01T12:00", 3, 2),
        ("2028-02-27T12:00", "2028-03-01T12:00", 4, 3),
        ("2026-12-31T20:00", "2027-01-01T04:00", 2, 1),
        ("2026-03-28T12:00", "2026-03-30T12:00", 3, 2),
        ("2026-10-24T12:00", "2026-10-26T12:00", 3, 2),
    ],
)
def test_rule_20_days_and_nights(starts: str, ends: str, dates: int, nights: int) -> None:
    assert units(ChargePeriod.DAYS, at(starts), at(ends), LONDON) == dates
    assert units(ChargePeriod.DAYS, at(starts), at(ends), LONDON, per_night=True) == nights


def test_rule_20_dates_are_local() -> None:
    starts, ends = at("2026-06-01T20:00", NEW_YORK), at("2026-06-01T22:00", NEW_YORK)

    assert (starts.day, ends.day) == (2, 2)
    assert days(starts, ends, NEW_YORK) == 1
    assert days(at("2026-06-01T19:00", NEW_YORK), ends, NEW_YORK) == 1
    assert days(at("2026-06-01T19:00", NEW_YORK), ends, ZoneInfo("UTC")) == 2


def test_rule_20_day_with_skipped_midnight_starts_at_one() -> None:
    # In Cairo 24 April 2026 begins at 01:00.
    starts, ends = at("2026-04-23T10:00", CAIRO), at("2026-04-24T01:00", CAIRO)

    assert start_of_day(date(2026, 4, 24), CAIRO) == ends
    assert days(starts, ends, CAIRO) == 1
    assert days(starts, ends + timedelta(seconds=1), CAIRO) == 2


def test_rule_20_day_with_repeated_midnight_starts_at_the_first() -> None:
    # In Havana 1 November 2026 has its first hour twice.
    starts = at("2026-10-31T10:00", HAVANA)
    first, second = at("2026-11-01T00:00", HAVANA), at("2026-11-01T00:00*", HAVANA)

    assert start_of_day(date(2026, 11, 1), HAVANA) == first
    assert second - first == timedelta(hours=1)
    assert days(starts, first, HAVANA) == 1
    assert days(starts, second, HAVANA) == 2


@pytest.mark.parametrize(
    ("dates", "weeks", "four_week_months"),
    [(1, 1, 1), (7, 1, 1), (8, 2, 1), (14, 2, 1), (15, 3, 1), (28, 4, 1), (29, 5, 2), (57, 9, 3)],
)
def test_rule_20_weeks_and_four_week_months_round_up(dates: int, weeks: int, four_week_months: int) -> None:
    starts = at("2026-03-01T00:00")
    ends = at((date(2026, 3, 1) + timedelta(days=dates)).isoformat())

    assert units(ChargePeriod.DAYS, starts, ends, LONDON) == dates
    assert units(ChargePeriod.WEEKS, starts, ends, LONDON) == weeks
    assert units(ChargePeriod.FOUR_WEEK_MONTHS, starts, ends, LONDON) == four_week_months


@pytest.mark.parametrize(
    ("period", "nights", "dates"),
    [(ChargePeriod.WEEKS, 1, 2), (ChargePeriod.FOUR_WEEK_MONTHS, 1, 1)],
)
def test_rule_20_seven_nights_are_eight_dates(period: ChargePeriod, nights: int, dates: int) -> None:
    starts, ends = at("2026-06-01T14:00"), at("2026-06-08T11:00")

    assert units(period, starts, ends, LONDON, per_night=True) == nights
    assert units(period, starts, ends, LONDON) == dates


def test_rule_20_twenty_eight_nights_are_one_four_week_month() -> None:
    starts, ends = at("2026-06-01T14:00"), at("2026-06-29T11:00")

    assert units(ChargePeriod.FOUR_WEEK_MONTHS, starts, ends, LONDON, per_night=True) == 1
    assert units(ChargePeriod.FOUR_WEEK_MONTHS, starts, ends, LONDON) == 2


@pytest.mark.parametrize(
    ("starts", "ends", "expected"),
    [
        ("2026-06-01T09:00", "2026-06-01T10:00", 1),
        ("2026-06-01T09:00", "2026-07-01T09:00", 1),
        ("2026-06-01T09:00", "2026-07-01T09:00:01", 2),
        ("2026-01-31T09:00", "2026-02-28T09:00", 1),
        ("2026-01-31T09:00", "2026-02-28T09:01", 2),
        ("2026-01-31T09:00", "2026-03-31T09:00", 2),
        ("2028-01-31T09:00", "2028-02-29T09:00", 1),
        ("2028-02-29T09:00", "2029-02-28T09:00", 12),
        ("2028-02-29T09:00", "2029-02-28T09:01", 13),
        ("2026-01-15T09:00", "2027-01-15T09:00", 12),
        ("2026-11-30T09:00", "2027-02-28T09:00", 3),
        # Local time counts, although these months are an hour shorter and an hour longer.
        ("2026-03-15T09:00", "2026-04-15T09:00", 1),
        ("2026-03-15T09:00", "2026-04-15T09:01", 2),
        ("2026-10-15T09:00", "2026-11-15T09:00", 1),
        ("2026-10-15T09:00", "2026-11-15T09:01", 2),
    ],
)
def test_rule_20_months_are_clamped_calendar_months(starts: str, ends: str, expected: int) -> None:
    assert units(ChargePeriod.MONTHS, at(starts), at(ends), LONDON) == expected


def test_rule_20_months_are_counted_in_local_time() -> None:
    starts = at("2026-02-01T00:00", SYDNEY)

    assert months(starts, at("2026-03-01T00:00", SYDNEY), SYDNEY) == 1
    assert months(starts, at("2026-05-01T00:00", SYDNEY), SYDNEY) == 3


def test_rule_20_booking_is_one_use() -> None:
    assert units(ChargePeriod.USES, at("2026-06-01"), at("2026-09-01"), LONDON) == 1


def test_there_is_no_hours_unit() -> None:
    assert {period.name: period.value for period in ChargePeriod} == {
        "MINUTES": 1,
        "DAYS": 2,
        "WEEKS": 3,
        "MONTHS": 4,
        "USES": 5,
        "FOUR_WEEK_MONTHS": 6,
    }


@pytest.mark.parametrize("period", ChargePeriod)
def test_booking_must_have_a_length(period: ChargePeriod) -> None:
    instant = at("2026-06-01T09:00")

    with pytest.raises(ValueError, match="ends after it starts"):
        units(period, instant, instant, LONDON)


instants = st.integers(0, 5 * 365 * 24 * 60).map(
    lambda elapsed: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=elapsed)
)


@proven
@given(
    instants,
    st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    st.sampled_from([LONDON, NEW_YORK, HAVANA, SYDNEY, CAIRO]),
)
def test_rule_20_one_month_fewer_never_reaches_the_end(starts: datetime, length: timedelta, zone: ZoneInfo) -> None:
    count = months(starts, starts + length, zone)

    assert add_local_months(starts, count, zone) >= starts + length
    assert count == 1 or add_local_months(starts, count - 1, zone) < starts + length


@proven
@given(
    instants,
    st.timedeltas(timedelta(seconds=1), timedelta(days=90)),
    st.sampled_from(ChargePeriod),
    st.booleans(),
)
def test_rule_20_longer_booking_needs_no_fewer_units(
    starts: datetime, length: timedelta, period: ChargePeriod, per_night: bool
) -> None:
    shorter = units(period, starts, starts + length, LONDON, per_night=per_night)
    longer = units(period, starts, starts + 2 * length, LONDON, per_night=per_night)

    assert 1 <= shorter <= longer


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 12, 15), 1, date(2027, 1, 15)),
        (date(2026, 11, 30), 1, date(2026, 12, 30)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 5, 31), 0, date(2026, 5, 31)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
    ],
)
def test_added_months_are_clamped(day: date, count: int, expected: date) -> None:
    assert add_months(day, count) == expected


def test_local_days_keep_the_local_time() -> None:
    assert add_local_days(at("2026-03-28T09:00"), 1, LONDON) == at("2026-03-29T09:00")
    assert add_local_days(at("2026-10-24T09:00"), 2, LONDON) == at("2026-10-26T09:00")
    assert add_local_days(at("2026-10-24T09:00"), 2, LONDON).tzinfo is UTC
    assert add_local_months(at("2026-03-01T09:00"), 1, LONDON).tzinfo is UTC
