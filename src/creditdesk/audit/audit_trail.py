"""Verifies the chain of the audit trail (rule 39)."""

from __future__ import annotations

from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.audit.trail_chain import find_trail_start, trail_batches
from creditdesk.auth.audit_trail import find_head
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.schema.repository import ReadSession


async def check_audit_trail(session: ReadSession, report: FindingReporter) -> None:
    """Reports each changed record, and where records are missing; other records count as verified.

    Also compares the caps of shared credit with what the trail states about them.
    """
    report.step("audit trail", await session.count(AuditRecord))
    position = await find_trail_start(session)
    async for batch in trail_batches(session, position.sequence):
        for record in batch:
            for message in position.read(record):
                report.finding(
                    AuditFinding.of_record(FindingCode.AUDIT_TRAIL, AuditRecord, record["Sequence"], message)
                )
        report.advance(len(batch))
    if await find_head(session) != (position.sequence, position.digest):
        message = f"the audit trail ends at {position.sequence}, which is not the end that was written last"
        report.finding(AuditFinding(code=FindingCode.AUDIT_TRAIL, message=message))
    await position.caps.check(session, report)
