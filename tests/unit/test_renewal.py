"""When benefits begin, renew, roll over and expire (rules 27, 28)."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.renewal import (
    ExpirationType,
    MissingMainContract,
    RenewalPeriod,
    RolloverLimit,
    ServiceRenewalTime,
    has_expired,
    periods_due,
    product_expiry,
    renewal_key,
    renewal_period,
    reopens_credit,
    rollover_amount,
)

LONDON = ZoneInfo("Europe/London")
MOMENT = datetime(2026, 6, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

WEEK = ServiceRenewalTime.WEEK
CALENDAR_MONTH = ServiceRenewalTime.CALENDAR_MONTH
TARIFF_MONTH = ServiceRenewalTime.TARIFF_MONTH
YEAR = ServiceRenewalTime.YEAR
DAY = ServiceRenewalTime.DAY


def day(text: str) -> date:
    return date.fromisoformat(text)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(UTC)


def test_enum_values_match_the_api() -> None:
    assert [(r.name, r.value) for r in ServiceRenewalTime] == [
        ("WEEK", 1),
        ("CALENDAR_MONTH", 2),
        ("TARIFF_MONTH", 3),
        ("YEAR", 4),
        ("DAY", 5),
    ]
    assert [(e.name, e.value) for e in ExpirationType] == [
        ("PRICE_PLAN", 1),
        ("DAY", 2),
        ("WEEK", 3),
        ("MONTH", 4),
        ("YEAR", 5),
        ("LAST_DAY_OF_MONTH", 6),
    ]


@pytest.mark.parametrize(
    ("renewal", "billing_day", "started", "on", "starts", "ends"),
    [
        (DAY, None, "2026-01-10", "2026-01-10", "2026-01-10", "2026-01-11"),
        (DAY, None, "2026-01-10", "2026-02-28", "2026-02-28", "2026-03-01"),
        (WEEK, None, "2026-01-10", "2026-01-10", "2026-01-10", "2026-01-17"),
        (WEEK, None, "2026-01-10", "2026-01-16", "2026-01-10", "2026-01-17"),
        (WEEK, None, "2026-01-10", "2026-01-17", "2026-01-17", "2026-01-24"),
        (WEEK, None, "2026-03-25", "2026-04-05", "2026-04-01", "2026-04-08"),
        (CALENDAR_MONTH, None, "2026-01-10", "2026-01-10", "2026-01-10", "2026-02-01"),
        (CALENDAR_MONTH, None, "2026-01-10", "2026-01-31", "2026-01-10", "2026-02-01"),
        (CALENDAR_MONTH, None, "2026-01-10", "2026-02-01", "2026-02-01", "2026-03-01"),
        (CALENDAR_MONTH, None, "2026-01-10", "2026-12-31", "2026-12-01", "2027-01-01"),
        (TARIFF_MONTH, 15, "2026-01-10", "2026-01-10", "2026-01-10", "2026-01-15"),
        (TARIFF_MONTH, 15, "2026-01-10", "2026-01-14", "2026-01-10", "2026-01-15"),
        (TARIFF_MONTH, 15, "2026-01-10", "2026-01-15", "2026-01-15", "2026-02-15"),
        (TARIFF_MONTH, 15, "2026-01-10", "2027-01-01", "2026-12-15", "2027-01-15"),
        (TARIFF_MONTH, 1, "2026-01-10", "2026-01-20", "2026-01-10", "2026-02-01"),
        (TARIFF_MONTH, None, "2026-01-10", "2026-02-09", "2026-01-10", "2026-02-10"),
        (TARIFF_MONTH, None, "2026-01-10", "2026-02-10", "2026-02-10", "2026-03-10"),
        (TARIFF_MONTH, 31, "2026-01-31", "2026-02-27", "2026-01-31", "2026-02-28"),
        (TARIFF_MONTH, 31, "2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"),
        (TARIFF_MONTH, 31, "2026-01-31", "2026-03-30", "2026-02-28", "2026-03-31"),
        (TARIFF_MONTH, 31, "2026-01-31", "2026-04-29", "2026-03-31", "2026-04-30"),
        (TARIFF_MONTH, 30, "2028-01-30", "2028-02-29", "2028-02-29", "2028-03-30"),
        (YEAR, None, "2026-03-10", "2026-03-10", "2026-03-10", "2027-03-10"),
        (YEAR, None, "2026-03-10", "2027-03-09", "2026-03-10", "2027-03-10"),
        (YEAR, None, "2026-03-10", "2027-03-10", "2027-03-10", "2028-03-10"),
        (YEAR, None, "2028-02-29", "2029-02-27", "2028-02-29", "2029-02-28"),
        (YEAR, None, "2028-02-29", "2029-02-28", "2029-02-28", "2030-02-28"),
        (YEAR, None, "2028-02-29", "2032-02-28", "2031-02-28", "2032-02-29"),
        (YEAR, None, "2028-02-29", "2032-02-29", "2032-02-29", "2033-02-28"),
    ],
)
def test_rule_27_period_of_a_day(
    renewal: ServiceRenewalTime,
    billing_day: int | None,
    started: str,
    on: str,
    starts: str,
    ends: str,
) -> None:
    found = renewal_period(renewal, day(on), day(started), billing_day)

    assert found == RenewalPeriod(day(starts), day(ends))


@pytest.mark.parametrize("renewal", ServiceRenewalTime)
def test_rule_27_no_period_before_the_contract_start(renewal: ServiceRenewalTime) -> None:
    with pytest.raises(ValueError, match="before its contract starts"):
        renewal_period(renewal, day("2026-01-09"), day("2026-01-10"))


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(ServiceRenewalTime),
    st.dates(date(2024, 1, 1), date(2028, 12, 31)),
    st.integers(0, 900),
    st.none() | st.integers(1, 31),
)
def test_rule_27_periods_are_contiguous(
    renewal: ServiceRenewalTime, started: date, length_days: int, billing_day: int | None
) -> None:
    today = started + timedelta(days=length_days)
    if renewal is DAY:
        today = min(today, started + timedelta(days=40))
    due = list(periods_due(renewal, started, today, billing_day=billing_day))

    assert due[0].starts == started
    assert due[-1].starts <= today < due[-1].ends
    for earlier, later in pairwise(due):
        assert earlier.starts < earlier.ends == later.starts
    for period in due:
        last_day = period.ends - timedelta(days=1)
        assert renewal_period(renewal, period.starts, started, billing_day) == period
        assert renewal_period(renewal, last_day, started, billing_day) == period


def starts_due(today: str, last: str | None = None, ended: str | None = None) -> list[str]:
    due = periods_due(
        TARIFF_MONTH,
        day("2026-01-31"),
        day(today),
        last_granted=day(last) if last else None,
        ended=day(ended) if ended else None,
    )
    return [period.starts.isoformat() for period in due]


def test_rule_27_missed_run_catches_up() -> None:
    assert starts_due("2026-01-30") == []
    assert starts_due("2026-01-31") == ["2026-01-31"]
    assert starts_due("2026-04-29", last="2026-01-31") == ["2026-02-28", "2026-03-31"]
    assert starts_due("2026-04-30", last="2026-01-31") == ["2026-02-28", "2026-03-31", "2026-04-30"]


def test_rule_27_second_run_finds_nothing_due() -> None:
    assert starts_due("2026-04-29", last="2026-03-31") == []


def test_rule_27_no_period_after_the_contract_end() -> None:
    assert starts_due("2026-06-01", ended="2026-02-28") == ["2026-01-31"]
    assert starts_due("2026-06-01", ended="2026-03-01") == ["2026-01-31", "2026-02-28"]
    assert starts_due("2026-06-01", ended="2026-01-31") == []


def test_rule_27_first_grant_begins_with_the_period_of_a_day() -> None:
    def starts(first_day: str) -> list[str]:
        due = periods_due(TARIFF_MONTH, day("2026-01-31"), day("2026-04-10"), first_day=day(first_day))
        return [period.starts.isoformat() for period in due]

    assert starts("2026-03-05") == ["2026-02-28", "2026-03-31"]
    assert starts("0001-01-01") == ["2026-01-31", "2026-02-28", "2026-03-31"]
    assert starts("2026-04-11") == starts("9999-12-31") == []


def test_rule_27_a_start_after_the_last_grant_begins_anew() -> None:
    assert starts_due("2026-03-01", last="2025-11-15") == ["2026-01-31", "2026-02-28"]


def test_rule_27_renewal_key() -> None:
    assert renewal_key("c-1", "b-2", RenewalPeriod(day("2026-03-01"), day("2026-04-01"))) == ("c-1/b-2/2026-03-01")


def test_rule_27_period_is_midnight_to_midnight_local_time() -> None:
    march = RenewalPeriod(day("2026-03-01"), day("2026-04-01"))

    assert march.valid_from(LONDON) == datetime(2026, 3, 1, 0, tzinfo=UTC)
    assert march.expires(LONDON) == datetime(2026, 3, 31, 23, tzinfo=UTC)
    assert march.expires(LONDON).tzinfo is UTC


@pytest.mark.parametrize(
    ("expiration", "expires_in", "released", "expires"),
    [
        (ExpirationType.DAY, 1, "2026-03-28T10:00", "2026-03-29T10:00"),
        (ExpirationType.DAY, 30, "2026-01-15T10:00", "2026-02-14T10:00"),
        (ExpirationType.DAY, None, "2026-01-15T10:00", "2026-01-16T10:00"),
        (ExpirationType.WEEK, 1, "2026-10-24T10:00", "2026-10-31T10:00"),
        (ExpirationType.WEEK, 6, "2026-01-01T00:00", "2026-02-12T00:00"),
        (ExpirationType.MONTH, 1, "2026-01-31T10:00", "2026-02-28T10:00"),
        (ExpirationType.MONTH, 1, "2028-01-31T10:00", "2028-02-29T10:00"),
        (ExpirationType.MONTH, 3, "2026-11-30T10:00", "2027-02-28T10:00"),
        (ExpirationType.YEAR, 1, "2028-02-29T10:00", "2029-02-28T10:00"),
        (ExpirationType.YEAR, 4, "2028-02-29T10:00", "2032-02-29T10:00"),
        (ExpirationType.LAST_DAY_OF_MONTH, 1, "2026-01-01T00:00", "2026-02-01T00:00"),
        (ExpirationType.LAST_DAY_OF_MONTH, 1, "2026-01-31T23:59", "2026-02-01T00:00"),
        (ExpirationType.LAST_DAY_OF_MONTH, None, "2026-06-30T23:59", "2026-07-01T00:00"),
        (ExpirationType.LAST_DAY_OF_MONTH, 2, "2026-12-15T10:00", "2027-02-01T00:00"),
    ],
)
def test_rule_27_product_benefit_expires_by_its_type(
    expiration: ExpirationType, expires_in: int | None, released: str, expires: str
) -> None:
    assert product_expiry(expiration, expires_in, at(released), LONDON) == at(expires)


@pytest.mark.parametrize("expires_in", [None, 0, 5])
def test_rule_27_plan_bound_benefit_ends_with_the_billing_period(
    expires_in: int | None,
) -> None:
    period = RenewalPeriod(day("2026-03-15"), day("2026-04-15"))

    assert product_expiry(ExpirationType.PRICE_PLAN, expires_in, MOMENT, LONDON, plan_period=period) == at(
        "2026-04-15T00:00"
    )


def test_rule_27_plan_bound_benefit_needs_a_main_contract() -> None:
    with pytest.raises(MissingMainContract, match="there is no plan"):
        product_expiry(ExpirationType.PRICE_PLAN, 1, MOMENT, LONDON)


@pytest.mark.parametrize("expires_in", [0, -1])
@pytest.mark.parametrize("expiration", [e for e in ExpirationType if e is not ExpirationType.PRICE_PLAN])
def test_rule_27_lifetime_below_one_is_rejected(expiration: ExpirationType, expires_in: int) -> None:
    with pytest.raises(ValueError, match="at least one period"):
        product_expiry(expiration, expires_in, MOMENT, LONDON)


@pytest.mark.parametrize(
    ("unused", "roll_over", "times_rolled", "rolled"),
    [
        (50, None, 0, 0),
        (50, RolloverLimit(cap=100, periods=1), 0, 50),
        (100, RolloverLimit(cap=100, periods=1), 0, 100),
        (101, RolloverLimit(cap=100, periods=1), 0, 100),
        (50, RolloverLimit(cap=100, periods=1), 1, 0),
        (50, RolloverLimit(cap=100, periods=2), 1, 50),
        (50, RolloverLimit(cap=100, periods=2), 2, 0),
        (50, RolloverLimit(cap=100, periods=2), 3, 0),
        (50, RolloverLimit(cap=100, periods=0), 0, 0),
        (50, RolloverLimit(cap=0, periods=1), 0, 0),
        (-5, RolloverLimit(cap=100, periods=1), 0, 0),
        (0, RolloverLimit(cap=100, periods=1), 0, 0),
    ],
)
def test_rule_27_rollover_is_capped_by_amount_and_periods(
    unused: int, roll_over: RolloverLimit | None, times_rolled: int, rolled: int
) -> None:
    assert rollover_amount(unused, roll_over, times_rolled) == rolled


def test_rule_27_rollover_counts_from_zero_by_default() -> None:
    assert rollover_amount(50, RolloverLimit(cap=100, periods=1)) == 50


def test_rule_28_credit_expires_at_the_exact_instant() -> None:
    assert not has_expired(MOMENT, MOMENT - INSTANT)
    assert has_expired(MOMENT, MOMENT)
    assert has_expired(MOMENT, MOMENT + INSTANT)
    assert not has_expired(None, MOMENT)


@pytest.mark.parametrize(
    ("expires", "extended", "expected"),
    [
        (MOMENT, MOMENT + INSTANT, True),
        (MOMENT, None, True),
        (MOMENT, MOMENT, False),
        (MOMENT - INSTANT, MOMENT, False),
        (MOMENT + INSTANT, None, False),
        (None, MOMENT + INSTANT, False),
        (None, MOMENT, False),
    ],
)
def test_rule_28_extended_expiry_reopens_expired_credit(
    expires: datetime, extended: datetime | None, expected: bool
) -> None:
    assert reopens_credit(expires, extended, MOMENT) is expected
