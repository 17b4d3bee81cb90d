"""Connects the API to the scheduled jobs: lists them, and requests runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from creditdesk.api.administration import JobControl, ShownJob
from creditdesk.scheduler.jobs import JOB_DECLARATIONS, JobDeclaration
from creditdesk.scheduler.lease import leader_until
from creditdesk.scheduler.runner import JobResult, load_job_results, request_run
from creditdesk.schema.repository import Store


async def _load(store: Store, now: datetime) -> Sequence[ShownJob]:
    results = await load_job_results(store)
    return [_shown(declared, results, now) for declared in JOB_DECLARATIONS]


def _shown(declared: JobDeclaration, results: Mapping[str, JobResult], now: datetime) -> ShownJob:
    last = results.get(declared.name)
    if last is None:
        return ShownJob(declared.name, declared.description, None, None, None, "", None, None)
    schedule = declared.schedule
    is_due = last.is_requested or schedule.is_due(last.started, now)
    next_due = None if is_due else schedule.latest_due(now) + schedule.period
    return ShownJob(
        declared.name, declared.description, last.started, last.ended, last.succeeded, last.message,
        last.requested if last.is_requested else None, next_due,
    )  # fmt: skip


JOB_CONTROL: Final = JobControl(tuple(each.name for each in JOB_DECLARATIONS), _load, request_run, leader_until)
