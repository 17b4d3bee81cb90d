"""Compares the row counters with the rows.

Triggers maintain the counters, so a difference means that the triggers were bypassed.
"""

from __future__ import annotations

from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import CounterMismatch, ReadSession


async def check_counters(session: ReadSession, report: ProgressReporter) -> None:
    """Reports each counter that differs from the number of rows."""
    counted = [entity for entity in CATALOG if entity.counted]
    report.step("row counters", len(counted))
    for entity in counted:
        for mismatch in await session.counter_mismatches(entity):
            report.problem(_describe_mismatch(entity, mismatch))
        report.advance(1)


def _describe_mismatch(entity: type[Entity], mismatch: CounterMismatch) -> str:
    location = {None: "", 0: ", of no location"}.get(mismatch.location, f", of location {mismatch.location}")
    return (
        f"{entity.__name__}: {mismatch.stored} are counted with {mismatch.column} from "
        f"{mismatch.start}{location}, but there are {mismatch.actual}"
    )
