"""Runs the jobs that are due, one after another, as the only leader, and keeps their last results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from creditdesk.entities.ledger.job_state import JobState
from creditdesk.scheduler.lease import take_lease
from creditdesk.scheduler.schedule import Schedule
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Store, WriteSession

RENEW_SECONDS: Final = 60.0
"""How often the leader renews its lease while a job runs; LEASE_TIME has room for some renewals that fail."""


class JobFailed(Exception):
    """A job failed; the message says why."""


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job: `run` is safe to repeat and returns one sentence about what it did. It raises JobFailed."""

    name: str
    description: str
    schedule: Schedule
    run: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of the last run of a job; `succeeded` is None while it runs, or if it was killed.

    `succeeded_on` is when the last successful run ended, this one or an earlier one.
    """

    name: str
    started: datetime
    ended: datetime | None
    succeeded: bool | None
    message: str
    succeeded_on: datetime | None = None
    requested: datetime | None = None

    @property
    def is_requested(self) -> bool:
        """Whether a run was requested since the last one began."""
        return self.requested is not None and self.requested > self.started


async def run_due_jobs(
    store: Store, jobs: Sequence[ScheduledJob], holder: str, clock: Callable[[], datetime], *, only: Sequence[str] = ()
) -> list[JobResult] | None:
    """Runs due jobs, or at once the jobs named by `only`; returns None if another process leads.

    A job whose process was killed runs again, after the others, because it may have caused that. When another process
    becomes the leader, the running job is cancelled and left to that process.
    """
    results: list[JobResult] = []
    interrupted = {name for name, last in (await load_job_results(store)).items() if last.succeeded is None}
    for job in sorted(jobs, key=lambda each: each.name in interrupted):
        if not await take_lease(store, holder, clock()):
            return None
        last = (await load_job_results(store)).get(job.name)
        if job.name in only if only else _is_due(job, last, clock()):
            try:
                async with _renewed_lease(store, holder, clock):
                    results.append(await _run(store, job, clock))
            except _LeaseLost:
                return None
    return results


class _LeaseLost(Exception):
    """Another process has become the leader."""


@asynccontextmanager
async def _renewed_lease(store: Store, holder: str, clock: Callable[[], datetime]) -> AsyncIterator[None]:
    """Renews the lease for the duration of the block. If it is lost, cancels the block and raises _LeaseLost."""

    async def renew(block: asyncio.Timeout) -> None:
        is_leader = True
        while is_leader:
            await asyncio.sleep(RENEW_SECONDS)
            # A database that is away ends the job by itself, if it is away for long.
            with suppress(Exception):
                is_leader = await take_lease(store, holder, clock())
        block.reschedule(asyncio.get_running_loop().time())

    block = asyncio.timeout(None)
    try:
        async with block:
            renewal = asyncio.create_task(renew(block))
            try:
                yield
            finally:
                renewal.cancel()
                await asyncio.wait([renewal])
    except TimeoutError:
        if block.expired():
            raise _LeaseLost from None
        raise


def _is_due(job: ScheduledJob, last: JobResult | None, now: datetime) -> bool:
    # Only one process runs jobs, and it is this one.
    is_wanted = last is not None and (last.succeeded is None or last.is_requested)
    return is_wanted or job.schedule.is_due(last.started if last else None, now)


async def request_run(session: WriteSession, name: str, now: datetime) -> int | None:
    """Makes a job due at once; returns the id of its state, None for a job that never ran, which is due anyway."""
    found = await session.find(JobState, where(JobState, Name=name), columns=("Id",))
    for state in found:
        await session.update(JobState, [(state["Id"], {"RequestedOn": now})])
    return int(found[0]["Id"]) if found else None


async def load_job_results(store: Store) -> dict[str, JobResult]:
    """The last result of every job that ever ran, by name."""
    async with store.read_session() as session:
        rows = await session.find(JobState)
    return {
        row["Name"]: JobResult(
            row["Name"],
            row["StartedOn"],
            row["EndedOn"],
            row["Succeeded"],
            row["Result"],
            row["SucceededOn"],
            row["RequestedOn"],
        )
        for row in rows
    }


async def _run(store: Store, job: ScheduledJob, clock: Callable[[], datetime]) -> JobResult:
    started = clock()
    await _save(store, JobResult(job.name, started, None, None, "running"))
    try:
        succeeded, message = True, await job.run()
    except Exception as error:
        # A failing job must not prevent the others.
        succeeded, message = False, str(error) or type(error).__name__
    result = JobResult(job.name, started, clock(), succeeded, message)
    await _save(store, result)
    return result


async def _save(store: Store, result: JobResult) -> None:
    values = {
        "Name": result.name,
        "StartedOn": result.started,
        "EndedOn": result.ended,
        "Succeeded": result.succeeded,
        "Result": result.message,
    }
    if result.succeeded:
        values["SucceededOn"] = result.ended
    async with store.write_session() as session:
        found = await session.find(JobState, where(JobState, Name=result.name), columns=("Id",))
        if found:
            await session.update(JobState, [(found[0]["Id"], values)])
        else:
            await session.insert(JobState, [new_record(JobState, values, result.started)])
