"""Verifies the chain of the audit trail (rule 39)."""

from __future__ import annotations

from typing import Final

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.audit.stated_caps import StatedCaps
from creditdesk.auth.audit_trail import GENESIS, find_head, record_digest
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import ReadSession

AUDIT_BATCH_SIZE: Final = 1000


async def check_audit_trail(session: ReadSession, report: FindingReporter) -> None:
    """Reports each record that was changed, and where records are missing; the others stay verified.

    What the trail states of the caps of shared credit is compared with them.
    """
    report.step("audit trail", await session.count(AuditRecord))
    caps = StatedCaps()
    sequence, digest = 0, GENESIS
    async for batch in find_batches(session, AuditRecord, AUDIT_BATCH_SIZE):
        for record in sorted(batch, key=lambda each: int(each["Sequence"])):
            is_next = record["Sequence"] == sequence + 1
            if not is_next:
                report.finding(
                    _found(record, f"the record before it is {sequence}, so records are missing or were moved")
                )
            try:
                stored = bytes.fromhex(record["Digest"])
            except ValueError:
                stored = b""
            if is_next and record_digest(digest, record) != stored:
                report.finding(_found(record, "its content does not match its digest and the record before it"))
            sequence, digest = record["Sequence"], stored
            caps.read(record)
        report.advance(len(batch))
    if await find_head(session) != (sequence, digest):
        message = f"the audit trail ends at {sequence}, which is not the end that was written last"
        report.finding(AuditFinding(code=FindingCode.AUDIT_TRAIL, message=message))
    await caps.check(session, report)


def _found(record: Record, message: str) -> AuditFinding:
    return AuditFinding.of_record(FindingCode.AUDIT_TRAIL, AuditRecord, record["Sequence"], message)
