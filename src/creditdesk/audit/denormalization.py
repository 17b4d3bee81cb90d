"""Compares denormalized values with their sources.

Triggers maintain them, so a difference means that the triggers were bypassed.
"""

from __future__ import annotations

from typing import Final

from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession

DENORMALIZATION_BATCH_SIZE: Final = 250
"""Stale records read at once."""


async def check_denormalized_values(session: ReadSession, report: ProgressReporter) -> None:
    """Reports each record with a denormalized value that differs from its source."""
    denormalized = [entity for entity in CATALOG if entity.meta().denormalized_columns]
    report.step("denormalized values", len(denormalized))
    for entity in denormalized:
        last, found = 0, DENORMALIZATION_BATCH_SIZE
        while found == DENORMALIZATION_BATCH_SIZE:
            stale = await session.stale(entity, last, DENORMALIZATION_BATCH_SIZE)
            for record_id, names in stale:
                report.problem(
                    f"{entity.__name__} {record_id}: {', '.join(names)} differs from the record it is copied from"
                )
                last = record_id
            found = len(stale)
        report.advance(1)
