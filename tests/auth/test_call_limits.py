"""How many calls a caller may make, and how long it is told to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.api.rate_limit import Throttle
from creditdesk.schema.errors import Throttled
from creditdesk.schema.service import Caller
from creditdesk.settings import LimitSettings
from tests.auth.people import NOW

ADA, BOB = Caller(1, "ada@example.org"), Caller(2, "bob@example.org")
SECOND = timedelta(seconds=1)


def test_limits_are_off_by_default():
    throttle = Throttle(LimitSettings())
    for _ in range(10_000):
        throttle.check(ADA, "POST", NOW)
    assert not throttle._windows


def test_the_sixty_first_write_of_a_minute_waits_for_what_is_left_of_it():
    throttle = Throttle(LimitSettings(writes_per_minute=60))
    for n in range(60):
        throttle.check(ADA, ("POST", "PUT", "DELETE")[n % 3], NOW + n * SECOND / 4)
    with pytest.raises(Throttled) as throttled:
        throttle.check(ADA, "POST", NOW + 15 * SECOND)
    assert throttled.value.wait_seconds == 45
    assert "Wait 45 seconds" in throttled.value.sentence
    throttle.check(ADA, "GET", NOW + 15 * SECOND)
    throttle.check(BOB, "POST", NOW + 15 * SECOND)
    throttle.check(ADA, "POST", NOW + 60 * SECOND)


def test_the_longest_wait_is_told_and_a_refused_call_counts_for_nothing():
    throttle = Throttle(LimitSettings(calls_per_minute=2, calls_per_hour=3))
    throttle.check(ADA, "GET", NOW)
    throttle.check(ADA, "GET", NOW)
    with pytest.raises(Throttled):
        throttle.check(ADA, "GET", NOW)
    throttle.check(ADA, "GET", NOW + 60 * SECOND)
    with pytest.raises(Throttled) as throttled:
        throttle.check(ADA, "GET", NOW + 60 * SECOND)
    assert throttled.value.wait_seconds == 3540


def test_counts_of_many_callers_stay_bounded(monkeypatch):
    monkeypatch.setattr("creditdesk.api.rate_limit.LARGEST_COUNT", 100)
    throttle = Throttle(LimitSettings(calls_per_minute=1))
    for n in range(1_000):
        throttle.check(Caller(n, "x"), "GET", NOW)
    assert len(throttle._windows) <= 100
    with pytest.raises(Throttled):
        throttle.check(Caller(999, "x"), "GET", NOW)
