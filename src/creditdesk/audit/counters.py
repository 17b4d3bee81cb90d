"""Compares the row counters with the rows.

Triggers maintain the counters, so a difference means that the triggers were bypassed.
"""

from __future__ import annotations

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import CounterMismatch, ReadSession


async def check_counters(session: ReadSession, report: FindingReporter) -> None:
    """Reports each counter that differs from the number of rows."""
    counted = [entity for entity in CATALOG if entity.counted]
    report.step("row counters", len(counted))
    for entity in counted:
        for mismatch in await session.counter_mismatches(entity):
            report.finding(_finding(entity, mismatch))
        report.advance(1)


def _finding(entity: type[Entity], mismatch: CounterMismatch) -> AuditFinding:
    location = {None: "", 0: ", of no location"}.get(mismatch.location, f", of location {mismatch.location}")
    return AuditFinding(
        code=FindingCode.ROW_COUNTER,
        message=f"{mismatch.stored} are counted with {mismatch.column} from {mismatch.start}{location}, "
        f"but there are {mismatch.actual}",
        entity=entity,
        stored=str(mismatch.stored),
        expected=str(mismatch.actual),
    )
