"""Metrics that are read from a database, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from creditdesk.cli.database_metrics import DatabaseMetrics, ledger_families
from creditdesk.scheduler.lease import release_lease
from creditdesk.scheduler.runner import JobFailed, ScheduledJob, run_due_jobs
from creditdesk.scheduler.schedule import Schedule
from tests.ledger.test_scheduled_jobs import add_hold
from tests.support.ledger_builder import LedgerBuilder

HOURLY = Schedule(timedelta(hours=1))


async def samples(ledger: LedgerBuilder) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in await ledger_families(ledger.store)
        for sample in family.samples
    }


async def test_jobs_keep_their_last_success_when_they_fail(ledger: LedgerBuilder) -> None:
    fails = False

    async def job() -> str:
        if fails:
            raise JobFailed("no")
        return "done"

    jobs = [ScheduledJob("holds", "a job", HOURLY, job)]
    first = datetime(2026, 3, 10, 5, tzinfo=UTC)
    await run_due_jobs(ledger.store, jobs, "me", lambda: first)
    fails, second = True, first + timedelta(hours=1)
    await run_due_jobs(ledger.store, jobs, "me", lambda: second)
    found = await samples(ledger)
    assert found["creditdesk_job_last_success_timestamp_seconds", "holds"] == first.timestamp()
    assert found["creditdesk_job_last_start_timestamp_seconds", "holds"] == second.timestamp()
    assert found["creditdesk_job_failed", "holds"] == 1
    await release_lease(ledger.store, "me", second)


async def test_open_holds_are_counted(ledger: LedgerBuilder) -> None:
    await ledger.add_money_credit("100.00")
    before = await samples(ledger)
    await add_hold(ledger)
    after = await samples(ledger)
    assert after["creditdesk_open_holds", ""] == before["creditdesk_open_holds", ""] + 1


def test_nothing_is_known_of_a_database_before_it_was_read() -> None:
    [family] = DatabaseMetrics("postgresql://localhost:1/nothing").families()
    assert [(sample.name, sample.value) for sample in family.samples] == [("creditdesk_database_up", 0.0)]
