"""Removes records of the audit trail that are past their retention; the rest stays provable (rule 39)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from creditdesk.audit.trail_chain import TRAIL_BATCH_SIZE, TrailPosition, find_trail_start, trail_batches
from creditdesk.auth.audit_trail import HEAD_ID, AuditAction, AuditEvent, record_event
from creditdesk.entities.ledger.audit_head import AuditHead
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, Store, delete_matching


class BrokenTrail(Exception):
    """Records that are due for removal were altered."""


async def remove_old_records(store: Store, older_than: datetime, actor: str, now: datetime) -> AsyncIterator[int]:
    """Removes the records before the first one since `older_than`; yields the number of each batch.

    First records the end of what it removes in the trail, so that the next call can complete an interrupted removal.
    Raises BrokenTrail, and removes nothing, if a record does not match its digest: it is evidence.
    """
    async with store.read_session() as session:
        start = (await find_trail_start(session)).sequence
        end = await _removable(session, older_than)
    if end.sequence > start:
        async with store.write_session() as writing:
            head = (await writing.lock(AuditHead, [HEAD_ID]))[HEAD_ID]
            # Another process may have done the same in the meantime.
            if (head["RemovedThrough"] or 0) < end.sequence:
                await writing.update(AuditHead, [(HEAD_ID, {"RemovedThrough": end.sequence})])
                details = {"Before": format_datetime(older_than), **end.details()}
                await record_event(writing, AuditEvent(AuditAction.PURGED, actor, details=details), now)
        start = end.sequence
    removed = Filter(AuditRecord.meta().columns["Sequence"], Comparison.AT_MOST, start)
    number = TRAIL_BATCH_SIZE
    while number == TRAIL_BATCH_SIZE:
        async with store.write_session() as writing:
            number = await delete_matching(writing, AuditRecord, (removed,), TRAIL_BATCH_SIZE)
        if number:
            yield number


async def _removable(session: ReadSession, older_than: datetime) -> TrailPosition:
    """The last of the records before the first one since `older_than`, or the trail's start."""
    position = await find_trail_start(session)
    async for batch in trail_batches(session, position.sequence):
        for record in batch:
            if record["RecordedOn"] >= older_than:
                return position
            if problems := position.read(record):
                raise BrokenTrail(f"AuditRecord {record['Sequence']}: {problems[0]}")
    return position
