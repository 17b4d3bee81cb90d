"""Copies of lent values compared with what they copy; each that differs is a finding.

Nothing is mended: the database keeps copies true, so a difference means that it was gone past.
"""

from __future__ import annotations

from typing import Final

from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession

DENORMALIZATION_BATCH_SIZE: Final = 250
"""How many findings are read at once."""


async def check_denormalized_values(session: ReadSession, report: ProgressReporter) -> None:
    """Reports each record whose copies are not what they copy, as one sentence."""
    copying = [entity for entity in CATALOG if entity.meta().denormalized_columns]
    report.step("copied names", len(copying))
    for entity in copying:
        last, found = 0, DENORMALIZATION_BATCH_SIZE
        while found == DENORMALIZATION_BATCH_SIZE:
            stale = await session.stale(entity, last, DENORMALIZATION_BATCH_SIZE)
            for record_id, names in stale:
                report.problem(
                    f"{entity.__name__} {record_id}: {', '.join(names)} "
                    "differs from the record it is copied from"
                )
                last = record_id
            found = len(stale)
        report.advance(1)
