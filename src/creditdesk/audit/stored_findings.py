"""Stores the findings of the last scheduled verification, for the exceptions report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from creditdesk.audit.findings import AuditFinding
from creditdesk.entities.ledger.verification_finding import VerificationFinding
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession, delete_matching

MAX_STORED_FINDINGS: Final = 1000
"""The most findings to store: a database with more is restored, not corrected one by one."""


async def store_findings(session: WriteSession, findings: Sequence[AuditFinding], now: datetime) -> None:
    """Replaces the stored findings by these, at most `MAX_STORED_FINDINGS`."""
    await delete_matching(session, VerificationFinding)
    records = [
        new_record(
            VerificationFinding,
            {
                "Code": found.code.value,
                "Message": found.text,
                "CreditKind": found.account[0].value if found.account else None,
                "CreditId": found.account[1] if found.account else None,
            },
            now,
        )
        for found in findings[:MAX_STORED_FINDINGS]
    ]
    if records:
        await session.insert(VerificationFinding, records)
