"""Compares the row counters with the rows.

Triggers maintain the counters, so a difference means that the triggers were bypassed.
"""

from __future__ import annotations

from datetime import datetime

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.conversions import format_datetime
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
    return AuditFinding(
        code=FindingCode.ROW_COUNTER,
        message=_describe(mismatch),
        entity=entity,
        stored=str(mismatch.stored),
        expected=str(mismatch.actual),
    )


def _describe(found: CounterMismatch) -> str:
    start = format_datetime(found.start) if isinstance(found.start, datetime) else found.start
    if found.location is None:
        message = f"{found.stored} are counted with {found.column} from {start}, but there are {found.actual}"
    elif found.location:
        message = (
            f"{found.stored} are counted with {found.column} from {start} at location {found.location}, "
            f"but there are {found.actual}"
        )
    else:
        message = (
            f"{found.stored} are counted with {found.column} from {start} at no location, but there are {found.actual}"
        )
    return message
