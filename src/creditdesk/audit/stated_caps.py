"""Compares the caps of shared credit with the values that the audit trail states last (rules 16, 39)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.auth.audit_trail import AuditAction
from creditdesk.entities.ledger.pool_cap import PoolCap
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import ReadSession

CAPS_PER_BATCH: Final = 500
_COLUMNS: Final = ("TeamId", "CreditKind", "Period", "Amount")
_WRITES: Final = (AuditAction.CREATED, AuditAction.CHANGED, AuditAction.DELETED)


class StatedCaps:
    """The values of each cap as far as the trail states them; None for one that was deleted."""

    def __init__(self, values: Mapping[int, dict[str, Any] | None] | None = None) -> None:
        self._values = dict(values or {})

    @property
    def values(self) -> Mapping[int, dict[str, Any] | None]:
        """The stated values, by the Id of the cap."""
        return self._values

    def read(self, record: Record) -> None:
        """Reads a record of the trail, in order of sequence."""
        if record["Action"] == AuditAction.IMPORTED:
            # An import may change caps, and its record does not name them.
            self._values.clear()
        if record["Subject"] != PoolCap.__name__ or record["Action"] not in _WRITES:
            return
        cap_id = record["SubjectId"]
        if record["Action"] == AuditAction.DELETED:
            self._values[cap_id] = None
            return
        try:
            after = {name: values[1] for name, values in json.loads(record["Details"]).items()}
        except (AttributeError, IndexError, TypeError, ValueError):
            # The chain shows that the record was changed.
            return
        known = dict.fromkeys(_COLUMNS) if record["Action"] == AuditAction.CREATED else self._values.get(cap_id)
        self._values[cap_id] = {**(known or {}), **after}

    async def check(self, session: ReadSession, report: FindingReporter) -> None:
        """Reports each cap that differs from the trail, is missing, or should not exist."""
        found: set[int] = set()
        async for caps in find_batches(session, PoolCap, CAPS_PER_BATCH, ("Id", *_COLUMNS)):
            for cap in caps:
                found.add(cap["Id"])
                for message in self._differences(cap):
                    report.finding(AuditFinding.of_record(FindingCode.POOL_CAP, PoolCap, cap["Id"], message))
        for cap_id in sorted(set(self._values) - found):
            if self._values[cap_id] is not None:
                report.finding(AuditFinding.of_record(FindingCode.POOL_CAP, PoolCap, cap_id, "it is missing"))

    def _differences(self, cap: Record) -> Iterator[str]:
        if cap["Id"] not in self._values:
            return
        stated = self._values[cap["Id"]]
        if stated is None:
            yield "it was deleted"
            return
        for name in _COLUMNS:
            if name in stated and (cap[name] or None) != (stated[name] or None):
                yield f"{name} is {cap[name]} and the audit trail says {stated[name]}"
