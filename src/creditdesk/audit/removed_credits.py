"""Checks what is stored of credits that no longer exist (rule 34).

The ledger removes only credits that were never used, and records that in the journal. Any other missing credit was
removed from the database directly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from creditdesk.audit.accounts import (
    AccountBatch,
    journal_findings,
    read_accounts,
    read_journals,
)
from creditdesk.audit.findings import AuditFinding, FindingCode, FindingReporter
from creditdesk.audit.hold_rows import hold_differences
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping, state_id
from creditdesk.schema.batches import find_batches
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession

REMOVED_BATCH_SIZE: Final = 1000
"""The number of credits that are looked up at once."""


async def check_removed_credits(
    session: ReadSession, rows_read: Counter[type[Entity]], report: FindingReporter
) -> Counter[type[Entity]]:
    """Reports the problems of missing credits; returns how many rows of each table it read.

    `rows_read` says how many rows the existing credits have. Only tables with more are searched.
    """
    more_rows: Counter[type[Entity]] = Counter()
    for mapping in MAPPINGS.values():
        removed: set[int] = set()
        for entity in (AccountState, JournalLine, Hold, mapping.history_entity):
            if await session.count(entity) > rows_read[entity]:
                removed |= await _removed_credits(session, mapping, entity)
        ordered = sorted(removed)
        report.step(f"{mapping.credit_entity.plural} that are gone", len(ordered))
        for start in range(0, len(ordered), REMOVED_BATCH_SIZE):
            credit_ids = ordered[start : start + REMOVED_BATCH_SIZE]
            batch = await read_accounts(session, mapping, credit_ids)
            for found in _removed_findings(batch, credit_ids):
                report.finding(found)
            more_rows.update(batch.row_counts)
            report.advance(len(credit_ids))
    for entity in (AccountState, JournalLine, Hold):
        if await session.count(entity) > rows_read[entity] + more_rows[entity]:
            await _report_unread(session, entity, report)
    return more_rows


async def _removed_credits(session: ReadSession, mapping: CreditTypeMapping, entity: type[Entity]) -> set[int]:
    """The credits of one type that records name and that do not exist."""
    is_history = entity is mapping.history_entity
    credit = mapping.credit_reference if is_history else "CreditId"
    filters = () if is_history else where(entity, CreditKind=mapping.account_type.value)
    removed: set[int] = set()
    async for records in find_batches(session, entity, REMOVED_BATCH_SIZE, ("Id", credit), filters):
        removed |= await _missing(session, mapping.credit_entity, {r[credit] for r in records})
    return removed


async def _report_unread(session: ReadSession, entity: type[Entity], report: FindingReporter) -> None:
    """Reports the records that no credit of any type leads to."""
    async for records in find_batches(session, entity, REMOVED_BATCH_SIZE, ("Id", "CreditKind", "CreditId")):
        for record in records:
            kind = record["CreditKind"]
            if kind not in set(AccountType):
                message = f"{kind!r} is no type of credit"
                report.finding(AuditFinding.of_record(FindingCode.CREDIT_TYPE, entity, record["Id"], message))
            elif entity is AccountState and record["Id"] != state_id((AccountType(kind), record["CreditId"])):
                message = f"is not the state of {kind} credit {record['CreditId']}"
                report.finding(AuditFinding.of_record(FindingCode.STATE_CREDIT, entity, record["Id"], message))


async def _missing(session: ReadSession, credit_entity: type[Entity], credit_ids: Collection[int]) -> set[int]:
    """Those of the ids that no credit has."""
    if not credit_ids:
        return set()
    found = await session.find(credit_entity, where(credit_entity, Id=tuple(credit_ids)), columns=("Id",))
    return set(credit_ids) - {record["Id"] for record in found}


def _removed_findings(batch: AccountBatch, credit_ids: Collection[int]) -> Iterator[AuditFinding]:
    journals = read_journals(batch.lines)
    for credit_id in credit_ids:
        account = (batch.mapping.account_type, credit_id)
        entries = journals.entries.get(credit_id, ())
        if uses := batch.uses.get(credit_id):
            message = f"the credit is gone and has {len(uses)} uses"
            yield AuditFinding(code=FindingCode.CREDIT_GONE, message=message, account=account)
        for found in hold_differences(batch.mapping, entries, batch.holds.get(credit_id, ())):
            yield replace(found, account=account)
        last = entries[-1] if entries else None
        if last is None or last.kind is not EntryType.VOID or last.reason != "deleted" or last.total_after:
            message = f"the credit is gone and its journal of {len(entries)} lines does not say that it was deleted"
            yield AuditFinding(code=FindingCode.CREDIT_GONE, message=message, account=account)
    yield from journal_findings(batch, journals)
