"""How many calls a caller may make, and how long it is told to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.api.rate_limit import RateLimiter
from creditdesk.schema.errors import RateLimited
from creditdesk.schema.service import Principal
from creditdesk.settings import RateLimitSettings
from tests.support.users import SIGN_IN_TIME

ADA, BOB = Principal(1, "ada@example.org"), Principal(2, "bob@example.org")
SECOND = timedelta(seconds=1)


def test_limits_are_off_by_default() -> None:
    throttle = RateLimiter(RateLimitSettings())
    for _ in range(10_000):
        throttle.check(ADA, "POST", SIGN_IN_TIME)
    assert not throttle._windows


def test_sixty_first_write_waits_for_rest_of_minute() -> None:
    throttle = RateLimiter(RateLimitSettings(writes_per_minute=60))
    for n in range(60):
        throttle.check(ADA, ("POST", "PUT", "DELETE")[n % 3], SIGN_IN_TIME + n * SECOND / 4)
    with pytest.raises(RateLimited) as throttled:
        throttle.check(ADA, "POST", SIGN_IN_TIME + 15 * SECOND)
    assert throttled.value.retry_after_seconds == 45
    assert "Wait 45 seconds" in throttled.value.message
    throttle.check(ADA, "GET", SIGN_IN_TIME + 15 * SECOND)
    throttle.check(BOB, "POST", SIGN_IN_TIME + 15 * SECOND)
    throttle.check(ADA, "POST", SIGN_IN_TIME + 60 * SECOND)


def test_longest_wait_is_returned_and_rejected_request_is_not_counted() -> None:
    throttle = RateLimiter(RateLimitSettings(calls_per_minute=2, calls_per_hour=3))
    throttle.check(ADA, "GET", SIGN_IN_TIME)
    throttle.check(ADA, "GET", SIGN_IN_TIME)
    with pytest.raises(RateLimited):
        throttle.check(ADA, "GET", SIGN_IN_TIME)
    throttle.check(ADA, "GET", SIGN_IN_TIME + 60 * SECOND)
    with pytest.raises(RateLimited) as throttled:
        throttle.check(ADA, "GET", SIGN_IN_TIME + 60 * SECOND)
    assert throttled.value.retry_after_seconds == 3540


def test_counters_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditdesk.api.rate_limit.MAX_WINDOWS", 100)
    throttle = RateLimiter(RateLimitSettings(calls_per_minute=1))
    for n in range(1_000):
        throttle.check(Principal(n, "x"), "GET", SIGN_IN_TIME)
    assert len(throttle._windows) <= 100
    with pytest.raises(RateLimited):
        throttle.check(Principal(999, "x"), "GET", SIGN_IN_TIME)
