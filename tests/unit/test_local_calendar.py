"""Days, months and years are those of the location's clock, wherever the machine stands.

Each example gives another answer by UTC than by the location's clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from creditdesk.ledger.rules.pool_caps import CapPeriod, period_start
from creditdesk.ledger.rules.renewal import (
    ExpirationType,
    ServiceRenewalTime,
    periods_due,
    product_expiry,
)
from creditdesk.ledger.rules.units import ChargePeriod, units

NEW_YORK = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "starts", "ends", "count"),
    [
        # From 23:30 on 1 March: one more local day.
        (ChargePeriod.WEEKS, utc(2026, 3, 2, 4, 30), utc(2026, 3, 8, 16), 2),
        (ChargePeriod.FOUR_WEEK_MONTHS, utc(2026, 3, 2, 4, 30), utc(2026, 3, 29, 16), 2),
        # From the evening of 31 January to that of 28 February, which is March by UTC.
        (ChargePeriod.MONTHS, utc(2026, 2, 1, 3), utc(2026, 3, 1, 2), 1),
    ],
)
def test_rule_20_weeks_and_months_are_counted_by_local_days(
    period: ChargePeriod, starts: datetime, ends: datetime, count: int
) -> None:
    assert units(period, starts, ends, NEW_YORK) == count


def test_rule_27_one_year_ends_at_the_same_local_time() -> None:
    # Noon on 10 March: summer time in 2026, not yet in 2027.
    expires = product_expiry(ExpirationType.YEAR, 1, utc(2026, 3, 10, 16), NEW_YORK)
    assert expires == utc(2027, 3, 10, 17)


def test_rule_27_last_day_of_month_is_local() -> None:
    # 22:00 on 31 March, which is 1 April in UTC.
    expires = product_expiry(
        ExpirationType.LAST_DAY_OF_MONTH, 1, utc(2026, 4, 1, 2), NEW_YORK
    )  # fmt: skip
    assert expires == utc(2026, 4, 1, 4)


def test_rule_27_missed_run_continues_from_the_billing_day() -> None:
    due = periods_due(
        ServiceRenewalTime.TARIFF_MONTH,
        date(2026, 1, 10),
        date(2026, 3, 1),
        billing_day=15,
        last_granted=date(2026, 1, 15),
    )
    assert [period.starts for period in due] == [date(2026, 2, 15)]


def test_rule_16_cap_period_starts_at_local_midnight() -> None:
    # 00:30 on 1 July in London.
    begins = period_start(CapPeriod.DAY, utc(2026, 6, 30, 23, 30), LONDON)
    assert begins == utc(2026, 6, 30, 23)
