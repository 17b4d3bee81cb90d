"""Kept totals compared with the records themselves; each that differs is a finding.

Nothing is mended: the database keeps count as it writes, so a difference means that it was gone
past.
"""

from __future__ import annotations

from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import CounterMismatch, ReadSession


async def check_counters(session: ReadSession, report: ProgressReporter) -> None:
    """Reports each kept number that is not that of the records, as one sentence."""
    tallied = [entity for entity in CATALOG if entity.counted]
    report.step("kept totals", len(tallied))
    for entity in tallied:
        for each in await session.counter_mismatches(entity):
            report.problem(_describe_mismatch(entity, each))
        report.advance(1)


def _describe_mismatch(entity: type[Entity], miscount: CounterMismatch) -> str:
    location = {None: "", 0: ", of no location"}.get(
        miscount.location, f", of location {miscount.location}"
    )
    return (
        f"{entity.__name__}: {miscount.stored} are counted with {miscount.column} from "
        f"{miscount.start}{location}, but there are {miscount.actual}"
    )
