"""The books checked: every balance recomputed from the journal, every chain read (rule 34).

Credits are read batch by batch with their lines, so memory stays flat. Nothing is mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
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
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import ProgressReporter
from creditdesk.schema.repository import ReadSession, Store

VERIFY_BATCH_SIZE: Final = 250


async def verify_ledger(store: Store, report: ProgressReporter) -> int:
    """Reports each finding as one sentence and returns how many journal lines were read.

    Everything is read in one snapshot, so that writes meanwhile cause no findings.
    """
    async with store.read_session() as session:
        return await _verify(session, report)


async def _verify(session: ReadSession, report: ProgressReporter) -> int:
    lines_read = 0
    for side in MAPPINGS.values():
        report.step(side.credit_entity.plural, await session.count(side.credit_entity))
        async with aclosing(_read_ahead(session, side)) as batches:
            async for batch in batches:
                # In a thread, while the next batch is read.
                for sentence in await asyncio.to_thread(list, _batch_problems(batch)):
                    report.problem(sentence)
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
    """Some credits with all that is on record of them; whole records of those that may have an
    overdraft.
    """

    side: CreditTypeMapping
    credits: Sequence[Record]
    states: Mapping[int, Record]
    lines: Sequence[Record]
    uses: Sequence[Record]
    overdrawn: Mapping[int, Record]


async def _read_ahead(
    session: ReadSession, side: CreditTypeMapping
) -> AsyncGenerator[_AccountBatch]:
    """Every credit in the order of Ids, batch by batch; one is read while another is looked at."""
    following = asyncio.create_task(_read_batch(session, side, 0))
    try:
        while batch := await following:
            following = asyncio.create_task(_read_batch(session, side, batch.credits[-1]["Id"]))
            yield batch
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _read_batch(
    session: ReadSession, side: CreditTypeMapping, after_id: int
) -> _AccountBatch | None:
    credits_ = await session.find(
        side.credit_entity,
        limit=VERIFY_BATCH_SIZE,
        after_id=after_id,
        columns=_credit_columns(side),
    )
    if not credits_:
        return None
    ids = [record["Id"] for record in credits_]
    found = await session.find(
        AccountState,
        where(AccountState, Id=[state_id((side.account_type, i)) for i in ids]),
        columns=("CreditId", "Held", "Sequence", "Digest"),
    )
    states = {record["CreditId"]: record for record in found}
    lines = await session.find(
        JournalLine,
        where(JournalLine, CreditKind=side.account_type.value, CreditId=ids),
        columns=(*ENTRY_COLUMNS, "Digest"),
    )
    uses = await session.find(
        side.history_entity,
        where(side.history_entity, **{side.credit_reference: ids}),
        columns=(side.credit_reference, "CreditUsed"),
    )
    # Only a whole record says how far below zero it may go, and few go there.
    below = [
        c["Id"] for c in credits_ if c[side.remaining_field] < _held(side, states.get(c["Id"]))
    ]
    overdrawn = await session.get_many(side.credit_entity, below) if below else {}
    return _AccountBatch(side, credits_, states, lines, uses, overdrawn)


def _credit_columns(side: CreditTypeMapping) -> tuple[str, ...]:
    """What is read of a credit: its balance, and what tells a booking charge (rule 5)."""
    charge = () if side is MONEY_MAPPING else ("BookingId", "BookingUniqueId")
    return ("Id", side.remaining_field, side.total_field, *charge)


def _held(side: CreditTypeMapping, state: Record | None) -> Amount:
    return state["Held"] // side.scale if state else 0


def _batch_problems(batch: _AccountBatch) -> Iterator[str]:
    side = batch.side
    records = sorted(batch.lines, key=lambda record: (record["CreditId"], record["Sequence"]))
    lines: dict[int, list[JournalEntry]] = {}
    for record in records:
        lines.setdefault(record["CreditId"], []).append(entry_from_record(record))
    used = dict.fromkeys((credit["Id"] for credit in batch.credits), 0)
    for row in batch.uses:
        used[row[side.credit_reference]] += row["CreditUsed"] or 0
    for credit in batch.credits:
        credit_id = credit["Id"]
        state = batch.states.get(credit_id)
        if is_booking_charge(side, credit):
            continue
        begun = credit_id in lines or (state is not None and state["Sequence"])
        if not begun and not used[credit_id]:
            # Its journal opens with the first thing that moves it.
            continue
        whole = batch.overdrawn.get(credit_id)
        stored = AccountBalances(
            credit[side.remaining_field],
            _held(side, state),
            credit[side.total_field],
            state["Sequence"] if state else 0,
            overdraft_limit(side, whole) if whole else 0,
        )
        for sentence in balance_differences(stored, lines.get(credit_id, []), used[credit_id]):
            yield f"{side.credit_entity.__name__} {credit_id}: {sentence}"
    yield from _chain_problems(side.account_type, lines, records, batch.states.values())


def _chain_problems(
    kind: AccountType,
    lines: Mapping[int, Sequence[JournalEntry]],
    records: Sequence[Record],
    states: Iterable[Record],
) -> Iterator[str]:
    chain = ChainVerifier()
    digests = [bytes.fromhex(record["Digest"]) for record in records]
    chain.add((line for of_credit in lines.values() for line in of_credit), digests)
    recorded = [
        ChainHead(kind, state["CreditId"], state["Sequence"], bytes.fromhex(state["Digest"]))
        for state in states
        if state["Sequence"]
    ]
    for finding in [*chain.findings, *check_heads(chain.heads, recorded)]:
        yield str(finding)
