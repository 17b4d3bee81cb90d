"""Recomputes every balance from the journal and verifies every hash chain (rule 34).

Credits are read in batches with their entries, so memory stays flat. Nothing is corrected.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from creditdesk.audit.accounts import (
    AccountBatch,
    credit_columns,
    credit_findings,
    journal_findings,
    read_accounts,
    read_journals,
)
from creditdesk.audit.allocations import check_allocations
from creditdesk.audit.audit_trail import check_audit_trail
from creditdesk.audit.benefit_grants import check_benefit_grants
from creditdesk.audit.counters import check_counters
from creditdesk.audit.denormalization import check_denormalized_values
from creditdesk.audit.findings import AuditFinding, FindingReporter, with_names
from creditdesk.audit.removed_credits import check_removed_credits
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.mapping import MAPPINGS, CreditTypeMapping
from creditdesk.schema.batches import find_batches, prefetch
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import ReadSession, Store

VERIFY_BATCH_SIZE: Final = 250


async def verify_ledger(store: Store, report: FindingReporter) -> int:
    """Reports each finding and returns the number of journal entries read.

    Everything is read in one snapshot, so concurrent writes cause no false findings.
    """
    async with store.read_session() as session:
        rows_read: Counter[type[Entity]] = Counter()
        for mapping in MAPPINGS.values():
            rows_read += await _check_credits(session, mapping, report)
        rows_read += await check_removed_credits(session, rows_read, report)
        await check_allocations(session, rows_read[AllocationDocument], report)
        await check_benefit_grants(session, rows_read[BenefitGrant], report)
        await check_denormalized_values(session, report)
        await check_counters(session, report)
        await check_audit_trail(session, report)
    return rows_read[JournalLine]


async def _check_credits(
    session: ReadSession, mapping: CreditTypeMapping, report: FindingReporter
) -> Counter[type[Entity]]:
    """Reports the findings of every credit of one type; returns how many rows of each table it read."""
    rows_read: Counter[type[Entity]] = Counter()
    findings: list[AuditFinding] = []
    report.step(mapping.credit_entity.plural, await session.count(mapping.credit_entity))
    async with aclosing(prefetch(_credit_batches(session, mapping))) as batches:
        async for batch in batches:
            # In a thread, while the next batch is read.
            findings += await asyncio.to_thread(list, _batch_findings(batch))
            rows_read.update(batch.accounts.row_counts)
            report.advance(len(batch.credits))
    # Only now: the next batch is read in the same session while one is compared.
    for found in await with_names(session, mapping, findings):
        report.finding(found)
    return rows_read


@dataclass(frozen=True, slots=True)
class _CreditBatch:
    """Some credits with everything stored about them."""

    credits: Sequence[Record]
    accounts: AccountBatch


async def _credit_batches(session: ReadSession, mapping: CreditTypeMapping) -> AsyncGenerator[_CreditBatch]:
    """Every credit of one type in order of Id, in batches."""
    columns = credit_columns(mapping)
    async for credits_ in find_batches(session, mapping.credit_entity, VERIFY_BATCH_SIZE, columns):
        yield _CreditBatch(credits_, await read_accounts(session, mapping, [credit["Id"] for credit in credits_]))


def _batch_findings(batch: _CreditBatch) -> Iterator[AuditFinding]:
    journals = read_journals(batch.accounts.lines)
    yield from credit_findings(batch.accounts, journals, batch.credits)
    yield from journal_findings(batch.accounts, journals)
