"""Grants begin and expire at local midnight, not at midnight UTC (rule 27)."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from creditdesk.ledger.rules.renewal import ExpirationType, RenewalPeriod, product_expiry

AUCKLAND = ZoneInfo("Pacific/Auckland")
NEW_YORK = ZoneInfo("America/New_York")


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "starts", "ends"),
    [
        (AUCKLAND, utc(2026, 2, 28, 11), utc(2026, 3, 31, 11)),
        (NEW_YORK, utc(2026, 3, 1, 5), utc(2026, 4, 1, 4)),
    ],
)
def test_rule_27_period_starts_and_expires_at_local_midnight(zone: ZoneInfo, starts: datetime, ends: datetime) -> None:
    march = RenewalPeriod(date(2026, 3, 1), date(2026, 4, 1))
    assert march.valid_from(zone) == starts
    assert march.expires(zone) == ends


@pytest.mark.parametrize(
    ("expiration", "expires"),
    [
        (ExpirationType.PRICE_PLAN, utc(2026, 4, 1, 4)),
        (ExpirationType.DAY, utc(2026, 3, 8, 4, 30)),
        (ExpirationType.WEEK, utc(2026, 3, 14, 3, 30)),
        (ExpirationType.MONTH, utc(2026, 4, 7, 3, 30)),
        (ExpirationType.YEAR, utc(2027, 3, 7, 4, 30)),
        (ExpirationType.LAST_DAY_OF_MONTH, utc(2026, 4, 1, 4)),
    ],
)
def test_rule_27_product_benefit_expires_at_local_time(expiration: ExpirationType, expires: datetime) -> None:
    # 23:30 on 6 March. New York's clocks go forward on the 8th, so the day after still expires in
    # winter time and the week after in summer time.
    released = utc(2026, 3, 7, 4, 30)
    found = product_expiry(
        expiration,
        1,
        released,
        NEW_YORK,
        plan_period=RenewalPeriod(date(2026, 3, 1), date(2026, 4, 1)),
    )
    assert found == expires
