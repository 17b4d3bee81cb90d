"""Stored decisions are compared with the lines that carry them out (rule 19)."""

from __future__ import annotations

import pytest

from creditdesk.audit.findings import FindingCode
from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import Tamper
from tests.ledger.test_scheduled_jobs import add_hold
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter


async def decided_hold(ledger: LedgerBuilder) -> int:
    """The Id of the decision of a hold of 10.00 on a credit of 40.00."""
    await ledger.add_money_credit("40.00")
    await add_hold(ledger, None)
    return int(max(record["Id"] for record in await ledger.find(AllocationDocument)))


async def findings_of(store: Store, decision: int) -> list[FindingCode]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    named = f"#{decision} "
    about = (AllocationDocument, decision)
    return [f.code for f in report.findings if (f.entity, f.record_id) == about or named in f.message]


def replaced(store: Store, old: str, new: str) -> str:
    """The SQL of a document with another text in it."""
    if isinstance(store, SQLiteStore):
        return f"replace(document, '{old}', '{new}')"
    return f"replace(document::text, '{old}', '{new}')"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"taken":"10.0000"', '"taken":"9.0000"'),
        ('"covered":"10.0000"', '"covered":"9.0000"'),
        ('"customer_id":', '"customer_id":9'),
        ('"source":"booking', '"source":"charge'),
        ('"parts"', '"pieces"'),
    ],
)
async def test_changed_document_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, old: str, new: str
) -> None:
    decision = await decided_hold(ledger)
    assert await findings_of(store, decision) == []
    await tamper(f"UPDATE allocation_document SET document = {replaced(store, old, new)} WHERE id = {decision}")
    assert await findings_of(store, decision) == [FindingCode.DECISION]


@pytest.mark.parametrize("operation", ["NULL", "'spend'", "'other'"])
async def test_changed_operation_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, operation: str
) -> None:
    decision = await decided_hold(ledger)
    await tamper(f"UPDATE allocation_document SET operation = {operation} WHERE id = {decision}")
    assert await findings_of(store, decision) == [FindingCode.DECISION]


async def test_removed_decision_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    decision = await decided_hold(ledger)
    await tamper(f"DELETE FROM allocation_document WHERE id = {decision}")
    assert FindingCode.DECISION_MISSING in await findings_of(store, decision)
