"""Compares denormalized values with their sources.

Triggers maintain them, so a difference means that the triggers were bypassed.
"""

from __future__ import annotations

from typing import Final

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.repository import ReadSession

DENORMALIZATION_BATCH_SIZE: Final = 250
"""Stale records read at once."""


async def check_denormalized_values(session: ReadSession, report: FindingReporter) -> None:
    """Reports each record with a denormalized value that differs from its source."""
    denormalized = [entity for entity in CATALOG if entity.meta().denormalized_columns]
    report.step("denormalized values", len(denormalized))
    for entity in denormalized:
        last, found = 0, DENORMALIZATION_BATCH_SIZE
        while found == DENORMALIZATION_BATCH_SIZE:
            stale = await session.stale(entity, last, DENORMALIZATION_BATCH_SIZE)
            for record_id, names in stale:
                message = f"{', '.join(names)} differs from the record it is copied from"
                report.finding(AuditFinding.of_record(FindingCode.COPIED_VALUE, entity, record_id, message))
                last = record_id
            found = len(stale)
        report.advance(1)
