"""The books checked: every balance recomputed from the journal, every chain read (rule 34).

Credits are read batch by batch with their lines, so memory stays flat. Nothing is mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

from creditdesk.audit.counters import check_totals
from creditdesk.audit.denormalization import check_copies
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import CreditKind, Line
from creditdesk.ledger.journal.hash_chain import ChainReading, Head, check_heads
from creditdesk.ledger.journal.invariants import Balances, differences
from creditdesk.ledger.journal.mapping import (
    LINE_NAMES,
    MONEY,
    SIDES,
    Side,
    line_of,
    overdraft_of,
    state_id,
    where,
)
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.entity import Record
from creditdesk.schema.progress import Report
from creditdesk.schema.repository import Store

BATCH: Final = 250


async def verify(store: Store, report: Report) -> int:
    """Reports each finding as one sentence, credit by credit; gives how many lines were read."""
    lines_read = 0
    for side in SIDES.values():
        async with store.reading() as reading:
            report.step(side.credit.plural, await reading.count(side.credit))
        async with aclosing(_read_ahead(store, side)) as batches:
            async for batch in batches:
                # Elsewhere, so that the next one comes in meanwhile.
                for sentence in await asyncio.to_thread(list, _findings(batch)):
                    report.problem(sentence)
                lines_read += len(batch.lines)
                report.advance(len(batch.credits))
    await check_copies(store, report)
    await check_totals(store, report)
    async with store.reading() as reading:
        orphans = await reading.count(JournalLine) - lines_read
    if orphans > 0:
        report.note(f"{orphans} journal lines are of credits that no longer exist")
    return lines_read


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some credits with all that is on record of them; whole records of those that may have an
    overdraft.
    """

    side: Side
    credits: Sequence[Record]
    states: Mapping[int, Record]
    lines: Sequence[Record]
    uses: Sequence[Record]
    overdrawn: Mapping[int, Record]


async def _read_ahead(store: Store, side: Side) -> AsyncGenerator[_Batch]:
    """Every credit in the order of Ids, batch by batch; one is read while another is looked at."""
    following = asyncio.create_task(_read(store, side, 0))
    try:
        while batch := await following:
            following = asyncio.create_task(_read(store, side, batch.credits[-1]["Id"]))
            yield batch
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _read(store: Store, side: Side, after_id: int) -> _Batch | None:
    async with store.reading() as reading:
        credits_ = await reading.find(
            side.credit, limit=BATCH, after_id=after_id, names=_names(side)
        )
        if not credits_:
            return None
        ids = [record["Id"] for record in credits_]
        found = await reading.find(
            CreditState,
            where(CreditState, Id=[state_id((side.kind, i)) for i in ids]),
            names=("CreditId", "Held", "Sequence", "Digest"),
        )
        states = {record["CreditId"]: record for record in found}
        lines = await reading.find(
            JournalLine,
            where(JournalLine, CreditKind=side.kind.value, CreditId=ids),
            names=(*LINE_NAMES, "Digest"),
        )
        uses = await reading.find(
            side.history,
            where(side.history, **{side.reference: ids}),
            names=(side.reference, "CreditUsed"),
        )
        # Only a whole record says how far below zero it may go, and few go there.
        below = [c["Id"] for c in credits_ if c[side.remaining] < _held(side, states.get(c["Id"]))]
        overdrawn = await reading.many(side.credit, below) if below else {}
    return _Batch(side, credits_, states, lines, uses, overdrawn)


def _names(side: Side) -> tuple[str, ...]:
    """What is read of a credit: its balance, and what tells a booking charge (rule 5)."""
    charge = () if side is MONEY else ("BookingId", "BookingUniqueId")
    return ("Id", side.remaining, side.total, *charge)


def _held(side: Side, state: Record | None) -> Amount:
    return state["Held"] // side.scale if state else 0


def _findings(batch: _Batch) -> Iterator[str]:
    side = batch.side
    records = sorted(batch.lines, key=lambda record: (record["CreditId"], record["Sequence"]))
    lines: dict[int, list[Line]] = {}
    for record in records:
        lines.setdefault(record["CreditId"], []).append(line_of(record))
    used = dict.fromkeys((credit["Id"] for credit in batch.credits), 0)
    for row in batch.uses:
        used[row[side.reference]] += row["CreditUsed"] or 0
    for credit in batch.credits:
        credit_id = credit["Id"]
        state = batch.states.get(credit_id)
        if is_charge(side, credit):
            continue
        begun = credit_id in lines or (state is not None and state["Sequence"])
        if not begun and not used[credit_id]:
            # Its journal opens with the first thing that moves it.
            continue
        whole = batch.overdrawn.get(credit_id)
        stored = Balances(
            credit[side.remaining],
            _held(side, state),
            credit[side.total],
            state["Sequence"] if state else 0,
            overdraft_of(side, whole) if whole else 0,
        )
        for sentence in differences(stored, lines.get(credit_id, []), used[credit_id]):
            yield f"{side.credit.__name__} {credit_id}: {sentence}"
    yield from _chain_findings(side.kind, lines, records, batch.states.values())


def _chain_findings(
    kind: CreditKind,
    lines: Mapping[int, Sequence[Line]],
    records: Sequence[Record],
    states: Iterable[Record],
) -> Iterator[str]:
    chain = ChainReading()
    digests = [bytes.fromhex(record["Digest"]) for record in records]
    chain.read((line for of_credit in lines.values() for line in of_credit), digests)
    recorded = [
        Head(kind, state["CreditId"], state["Sequence"], bytes.fromhex(state["Digest"]))
        for state in states
        if state["Sequence"]
    ]
    for finding in [*chain.findings, *check_heads(chain.heads, recorded)]:
        yield str(finding)
