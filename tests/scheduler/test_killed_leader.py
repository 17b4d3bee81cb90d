"""The leader of the jobs dies between two of its statements: the next one does the rest, and nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.auth.encryption import NO_CIPHER
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.leader_lease import LeaderLease
from creditdesk.scheduler import runner
from creditdesk.scheduler.jobs import JobContext, scheduled_jobs
from creditdesk.scheduler.lease import LEASE_TIME, leader_until, release_lease, take_lease
from creditdesk.scheduler.runner import ScheduledJob, load_job_results, run_due_jobs
from creditdesk.scheduler.schedule import Schedule
from creditdesk.schema.repository import Store
from tests.ledger.test_renewals import add_contract
from tests.ledger.test_scheduled_jobs import add_hold
from tests.support.failing_store import ConnectionLost, FailingStore
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder
from tests.support.progress import CollectingReporter

MORNING = datetime(2026, 3, 10, 5, tzinfo=UTC)
MAX_STATEMENTS = 400
WAIT_SECONDS = 60.0
"""Far more than any step takes, on a busy machine too."""

STEP = 7
"""Every so many-th statement is the last of a run."""


class Killed(BaseException):
    """Ends a job as the death of its process does: nothing is saved."""


def at(instant: datetime) -> Callable[[], datetime]:
    return lambda: instant


def jobs_of(ledger: LedgerBuilder, store: Any) -> list[ScheduledJob]:
    context = JobContext(store, ledger.context, ADMIN_PRINCIPAL, NO_CIPHER, 30, None)
    # Verification only reads; it stands at the end of the test.
    return [job for job in scheduled_jobs(context) if job.name != "verify"]


async def add_work(ledger: LedgerBuilder) -> None:
    """A credit that has expired, a hold past its time, and a contract whose benefits are due."""
    ledger.customer = await ledger.add_customer("Ada")
    await ledger.add_money_credit("100.00")
    ledger.now = MORNING - timedelta(minutes=2)
    await add_hold(ledger, until=MORNING - timedelta(minutes=1))
    ledger.now = MORNING
    await ledger.add_money_credit("10.00", ExpireDate=ledger.now - timedelta(days=1))
    await add_contract(ledger)


async def written(ledger: LedgerBuilder) -> Counter[str]:
    return Counter(line["Kind"] for line in await ledger.find(JournalLine))


async def test_leader_killed_between_statements(ledger: LedgerBuilder) -> None:
    failing = FailingStore(ledger.store)
    ledger.now, lease_start = MORNING, MORNING
    names = [job.name for job in jobs_of(ledger, failing)]
    was_killed, statement, expected = True, 1, None
    while was_killed:
        assert statement < MAX_STATEMENTS
        before = await written(ledger)
        await add_work(ledger)
        failing.fail_before(statement)
        with suppress(ConnectionLost):
            await run_due_jobs(failing, jobs_of(ledger, failing), f"leader {statement}", at(lease_start), only=names)
        was_killed = failing.has_failed
        failing.restore()
        lease_start += LEASE_TIME
        holder = f"next {statement}"
        results = await run_due_jobs(ledger.store, jobs_of(ledger, ledger.store), holder, at(lease_start), only=names)
        assert results is not None
        assert [result.name for result in results if not result.succeeded] == []
        done = await written(ledger) - before
        expected = expected or done
        assert done == expected, statement
        await release_lease(ledger.store, holder, lease_start)
        statement += STEP
    assert statement > 5 * STEP
    assert {"expiry", "release", "grant"} <= set(expected or ())
    assert await verify_problems(ledger) == []


async def verify_problems(ledger: LedgerBuilder) -> list[str]:
    reporter = CollectingReporter()
    await verify_ledger(ledger.store, reporter)
    return reporter.problems


async def test_a_job_that_was_cut_short_runs_again_after_the_others(store: Store) -> None:
    ran: list[str] = []
    daily, later = Schedule(timedelta(days=1)), MORNING + timedelta(days=30)

    async def dies() -> str:
        ran.append("dies")
        raise Killed

    async def works() -> str:
        ran.append("works")
        return "done"

    jobs = [ScheduledJob("dies", "is killed", daily, dies), ScheduledJob("works", "works", daily, works)]
    for minutes in (0, 10):
        with pytest.raises(Killed):
            await run_due_jobs(store, jobs, f"leader {minutes}", at(later + timedelta(minutes=minutes)))
    assert ran == ["dies", "works", "dies"]
    assert (await load_job_results(store))["dies"].succeeded is None
    await release_lease(store, "leader 10", later)


async def test_a_long_job_keeps_its_lease_and_ends_when_another_process_leads(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RENEW_SECONDS", 0.01)
    now, started, ran = [MORNING + timedelta(days=60)], asyncio.Event(), []

    async def works_for_hours() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ran.append("long")
        return "done"

    async def works() -> str:
        ran.append("next")
        return "done"

    daily = Schedule(timedelta(days=1))
    jobs = [ScheduledJob("long", "takes hours", daily, works_for_hours), ScheduledJob("next", "is next", daily, works)]
    async with asyncio.timeout(WAIT_SECONDS):
        running = asyncio.create_task(run_due_jobs(store, jobs, "first", lambda: now[0]))
        await started.wait()
        for _ in range(2):
            now[0] += LEASE_TIME - timedelta(minutes=1)
            while await leader_until(store) != now[0] + LEASE_TIME:
                await asyncio.sleep(0.01)
        assert not await take_lease(store, "second", now[0])
        # As after a pause of the whole first process that was longer than its lease.
        async with store.write_session() as session:
            [lease] = await session.find(LeaderLease)
            await session.update(LeaderLease, [(lease["Id"], {"Holder": "second", "Until": now[0] + LEASE_TIME})])
        assert await running is None
    assert ran == ["long"]
    assert (await load_job_results(store))["long"].succeeded is None
    await release_lease(store, "second", now[0])
