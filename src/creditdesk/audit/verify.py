"""Recomputes every balance from the journal and verifies every hash chain (rule 34).

Credits are read in batches with their entries, so memory stays flat. Nothing is corrected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from creditdesk.audit.chain_verifier import ChainVerifier, check_heads
from creditdesk.audit.counters import check_counters
from creditdesk.audit.denormalization import check_denormalized_values
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import AccountType, JournalEntry
from creditdesk.ledger.journal.hash_chain import ChainHead
from creditdesk.ledger.journal.invariants import AccountBalances, balance_differences
from creditdesk.ledger.journal.mapping import (
    ENTRY_COLUMNS,
    MAPPINGS,
    MONEY_MAPPING,
    CreditTypeMapping,
    entry_from_record,
    is_booking_charge,
    overdraft_limit,
    state_id,
    where,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.batches import find_batches, prefetch
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession, Store

VERIFY_BATCH_SIZE: Final = 250


async def verify_ledger(store: Store, report: ProgressReporter) -> int:
    """Reports each problem and returns the number of journal entries read.

    Everything is read in one snapshot, so concurrent writes cause no false problems.
    """
    async with store.read_session() as session:
        return await _verify(session, report)


async def _verify(session: ReadSession, report: ProgressReporter) -> int:
    lines_read = 0
    for mapping in MAPPINGS.values():
        report.step(mapping.credit_entity.plural, await session.count(mapping.credit_entity))
        async with aclosing(prefetch(_account_batches(session, mapping))) as batches:
            async for batch in batches:
                # In a thread, while the next batch is read.
                for problem in await asyncio.to_thread(list, _batch_problems(batch)):
                    report.problem(problem)
                lines_read += len(batch.lines)
                report.advance(len(batch.credits))
    await check_denormalized_values(session, report)
    await check_counters(session, report)
    orphans = await session.count(JournalLine) - lines_read
    if orphans > 0:
        report.note(f"{orphans} journal lines are of credits that no longer exist")
    return lines_read


@dataclass(frozen=True, slots=True)
class _AccountBatch:
    """Some credits with everything stored about them.

    `overdrawn` holds the whole records of credits below zero, which may have an overdraft.
    """

    mapping: CreditTypeMapping
    credits: Sequence[Record]
    states: Mapping[int, Record]
    lines: Sequence[Record]
    uses: Sequence[Record]
    overdrawn: Mapping[int, Record]


async def _account_batches(
    session: ReadSession, mapping: CreditTypeMapping
) -> AsyncGenerator[_AccountBatch]:
    """Every credit of one type in order of Id, in batches."""
    columns = _credit_columns(mapping)
    async for credits_ in find_batches(session, mapping.credit_entity, VERIFY_BATCH_SIZE, columns):
        yield await _read_batch(session, mapping, credits_)


async def _read_batch(
    session: ReadSession, mapping: CreditTypeMapping, credits_: Sequence[Record]
) -> _AccountBatch:
    ids = [record["Id"] for record in credits_]
    found = await session.find(
        AccountState,
        where(AccountState, Id=[state_id((mapping.account_type, i)) for i in ids]),
        columns=("CreditId", "Held", "Sequence", "Digest"),
    )
    states = {record["CreditId"]: record for record in found}
    lines = await session.find(
        JournalLine,
        where(JournalLine, CreditKind=mapping.account_type.value, CreditId=ids),
        columns=(*ENTRY_COLUMNS, "Digest"),
    )
    uses = await session.find(
        mapping.history_entity,
        where(mapping.history_entity, **{mapping.credit_reference: ids}),
        columns=(mapping.credit_reference, "CreditUsed"),
    )
    # The overdraft is only in the whole record, and few credits are below zero.
    below = [
        c["Id"]
        for c in credits_
        if c[mapping.remaining_field] < _held(mapping, states.get(c["Id"]))
    ]
    overdrawn = await session.get_many(mapping.credit_entity, below) if below else {}
    return _AccountBatch(mapping, credits_, states, lines, uses, overdrawn)


def _credit_columns(mapping: CreditTypeMapping) -> tuple[str, ...]:
    """The balance of a credit, and the columns that identify a booking charge (rule 5)."""
    charge = () if mapping is MONEY_MAPPING else ("BookingId", "BookingUniqueId")
    return ("Id", mapping.remaining_field, mapping.total_field, *charge)


def _held(mapping: CreditTypeMapping, state: Record | None) -> Amount:
    return state["Held"] // mapping.scale if state else 0


def _batch_problems(batch: _AccountBatch) -> Iterator[str]:
    mapping = batch.mapping
    records = sorted(batch.lines, key=lambda record: (record["CreditId"], record["Sequence"]))
    lines: dict[int, list[JournalEntry]] = {}
    for record in records:
        lines.setdefault(record["CreditId"], []).append(entry_from_record(record))
    used = dict.fromkeys((credit["Id"] for credit in batch.credits), 0)
    for row in batch.uses:
        used[row[mapping.credit_reference]] += row["CreditUsed"] or 0
    for credit in batch.credits:
        credit_id = credit["Id"]
        state = batch.states.get(credit_id)
        if is_booking_charge(mapping, credit):
            continue
        has_journal = credit_id in lines or (state is not None and state["Sequence"])
        if not has_journal and not used[credit_id]:
            # The journal of an unused credit is opened by its first change.
            continue
        overdrawn = batch.overdrawn.get(credit_id)
        stored = AccountBalances(
            credit[mapping.remaining_field],
            _held(mapping, state),
            credit[mapping.total_field],
            state["Sequence"] if state else 0,
            overdraft_limit(mapping, overdrawn) if overdrawn else 0,
        )
        for problem in balance_differences(stored, lines.get(credit_id, []), used[credit_id]):
            yield f"{mapping.credit_entity.__name__} {credit_id}: {problem}"
    yield from _chain_problems(mapping.account_type, lines, records, batch.states.values())


def _chain_problems(
    kind: AccountType,
    lines: Mapping[int, Sequence[JournalEntry]],
    records: Sequence[Record],
    states: Iterable[Record],
) -> Iterator[str]:
    verifier = ChainVerifier()
    digests = [bytes.fromhex(record["Digest"]) for record in records]
    verifier.add((line for of_credit in lines.values() for line in of_credit), digests)
    recorded = [
        ChainHead(kind, state["CreditId"], state["Sequence"], bytes.fromhex(state["Digest"]))
        for state in states
        if state["Sequence"]
    ]
    for finding in [*verifier.findings, *check_heads(verifier.heads, recorded)]:
        yield str(finding)
