"""Reads the audit trail from its start, and checks that each record follows the one before (rule 39).

A trail whose first records were removed after their retention starts after those. The record of the removal states
their end, and what they stated about the caps of shared credit.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from creditdesk.audit.stated_caps import StatedCaps
from creditdesk.auth.audit_trail import GENESIS, AuditAction, record_digest
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, Order, where
from creditdesk.schema.repository import ReadSession, find_first

TRAIL_BATCH_SIZE: Final = 1000


@dataclass(slots=True)
class TrailPosition:
    """The last record that was read, and what the trail up to it states about caps."""

    sequence: int = 0
    digest: bytes = GENESIS
    caps: StatedCaps = field(default_factory=StatedCaps)

    def read(self, record: Record) -> list[str]:
        """Advances to the next record; returns what is wrong with it."""
        problems: list[str] = []
        is_next = record["Sequence"] == self.sequence + 1
        if not is_next:
            problems.append(f"the record before it is {self.sequence}, so records are missing or were moved")
        try:
            stored = bytes.fromhex(record["Digest"])
        except ValueError:
            stored = b""
        if is_next and record_digest(self.digest, record) != stored:
            problems.append("its content does not match its digest and the record before it")
        self.sequence, self.digest = record["Sequence"], stored
        self.caps.read(record)
        return problems

    def details(self) -> dict[str, Any]:
        """The details of the record of a removal up to here."""
        return {"Sequence": self.sequence, "Digest": self.digest.hex(), "Caps": dict(self.caps.values)}


async def find_trail_start(session: ReadSession) -> TrailPosition:
    """Where the trail starts: after the last removal, else before its first record."""
    newest = Order(AuditRecord.meta().columns["Id"], descending=True)
    purged = await find_first(session, AuditRecord, where(AuditRecord, Action=AuditAction.PURGED.value), newest)
    if purged is None:
        return TrailPosition()
    try:
        stated = json.loads(purged["Details"])
        caps = StatedCaps({int(cap_id): values for cap_id, values in stated["Caps"].items()})
        return TrailPosition(int(stated["Sequence"]), bytes.fromhex(stated["Digest"]), caps)
    except (AttributeError, KeyError, TypeError, ValueError):
        # The chain shows that the record was changed.
        return TrailPosition()


async def trail_batches(session: ReadSession, after: int, until: int | None = None) -> AsyncIterator[list[Record]]:
    """The records with a sequence after `after` and at most `until`, in order."""
    column = AuditRecord.meta().columns["Sequence"]
    filters = [Filter(column, Comparison.AT_LEAST, after + 1)]
    if until is not None:
        filters.append(Filter(column, Comparison.AT_MOST, until))
    async for batch in find_batches(session, AuditRecord, TRAIL_BATCH_SIZE, filters=filters):
        yield sorted(batch, key=lambda each: int(each["Sequence"]))
