"""Limits on the requests of one caller, counted for all workers in the database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from creditdesk.api import rate_limit
from creditdesk.api.rate_limit import RateLimiter
from creditdesk.schema.errors import RateLimited
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import RateLimitSettings
from tests.support.users import SIGN_IN_TIME

ADA, BOB = Principal(1, "ada@example.org"), Principal(2, "bob@example.org")
SECOND = timedelta(seconds=1)


def limiter(store: Store, **limits: int) -> RateLimiter:
    return RateLimiter(RateLimitSettings(**limits), store)


async def admitted(worker: RateLimiter, times: int) -> int:
    """How many of Ada's requests at the first second are admitted."""
    count = 0
    for _ in range(times):
        try:
            await worker.check(ADA, "GET", SIGN_IN_TIME)
        except RateLimited:
            continue
        count += 1
    return count


async def test_limits_are_off_by_default(store: Store) -> None:
    assert not limiter(store).is_active


async def test_sixty_first_write_waits_for_rest_of_minute(store: Store) -> None:
    worker = limiter(store, writes_per_minute=60)
    for n in range(60):
        method = ("POST", "PUT", "DELETE")[n % 3]
        await worker.check(ADA, method, SIGN_IN_TIME + n * SECOND / 4)
    with pytest.raises(RateLimited) as limited:
        await worker.check(ADA, "POST", SIGN_IN_TIME + 15 * SECOND)
    assert limited.value.retry_after_seconds == 45
    assert "Wait 45 seconds" in limited.value.message
    await worker.check(ADA, "GET", SIGN_IN_TIME + 15 * SECOND)
    await worker.check(BOB, "POST", SIGN_IN_TIME + 15 * SECOND)
    await worker.check(ADA, "POST", SIGN_IN_TIME + 60 * SECOND)


async def test_longest_wait_is_returned_and_rejected_request_is_not_counted(store: Store) -> None:
    worker = limiter(store, calls_per_minute=2, calls_per_hour=3)
    await worker.check(ADA, "GET", SIGN_IN_TIME)
    await worker.check(ADA, "GET", SIGN_IN_TIME)
    with pytest.raises(RateLimited):
        await worker.check(ADA, "GET", SIGN_IN_TIME)
    await worker.check(ADA, "GET", SIGN_IN_TIME + 60 * SECOND)
    with pytest.raises(RateLimited) as limited:
        await worker.check(ADA, "GET", SIGN_IN_TIME + 60 * SECOND)
    assert limited.value.retry_after_seconds == 3540


async def test_workers_share_the_count(each_store: Store) -> None:
    workers = [limiter(each_store, calls_per_minute=30) for _ in range(3)]
    counts = await asyncio.gather(*(admitted(worker, 30) for worker in workers))
    assert sum(counts) == 30
    with pytest.raises(RateLimited):
        await limiter(each_store, calls_per_minute=30).check(ADA, "GET", SIGN_IN_TIME)


async def test_a_lease_that_is_not_used_is_lost_and_never_more_than_a_part(store: Store) -> None:
    idle, busy = limiter(store, calls_per_minute=160), limiter(store, calls_per_minute=160)
    await idle.check(ADA, "GET", SIGN_IN_TIME)
    lost = 160 // rate_limit.LEASE_DIVISOR - 1
    assert await admitted(busy, 160) == 160 - 1 - lost


async def test_concurrent_requests_share_one_lease(store: Store) -> None:
    worker = limiter(store, calls_per_minute=10)
    results = await asyncio.gather(*(worker.check(ADA, "GET", SIGN_IN_TIME) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(result, RateLimited) for result in results) == 2


async def test_leases_in_memory_stay_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_LEASES", 10)
    worker = limiter(store, calls_per_minute=1)
    for n in range(30):
        await worker.check(Principal(n, "x"), "GET", SIGN_IN_TIME)
    assert len(worker._leases) <= 10
    with pytest.raises(RateLimited):
        await worker.check(Principal(0, "x"), "GET", SIGN_IN_TIME)
