"""The books checked: every balance recomputed from the journal, every chain read (rule 34).

Credits are read batch by batch with their lines, so memory stays flat. Nothing is mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from creditdesk.entities.ledger.credit_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.book.chain import ChainReading, Head, check_heads
from creditdesk.ledger.book.invariants import Balances, differences
from creditdesk.ledger.book.journal import is_charge
from creditdesk.ledger.book.line import CreditKind, Line
from creditdesk.ledger.book.records import (
    LINE_NAMES,
    MONEY,
    SIDES,
    Side,
    line_of,
    overdraft_of,
    state_id,
    where,
)
from creditdesk.schema.entity import Record
from creditdesk.schema.store import Reading, Store
from creditdesk.sync.copies import check_copies
from creditdesk.sync.report import Report
from creditdesk.sync.tallied import check_totals

BATCH: Final = 250


async def verify(store: Store, report: Report) -> int:
    """Reports each finding as one sentence, credit by credit; gives how many lines were read."""
    lines_read = 0
    for side in SIDES.values():
        async with store.reading() as reading:
            report.step(side.credit.plural, await reading.count(side.credit))
        last = 0
        while True:
            async with store.reading() as reading:
                credits_ = await reading.find(
                    side.credit, limit=BATCH, after_id=last, names=_names(side)
                )
                if not credits_:
                    break
                lines_read += await _check(reading, side, credits_, report)
            last = credits_[-1]["Id"]
            report.advance(len(credits_))
    await check_copies(store, report)
    await check_totals(store, report)
    async with store.reading() as reading:
        orphans = await reading.count(JournalLine) - lines_read
    if orphans > 0:
        report.note(f"{orphans} journal lines are of credits that no longer exist")
    return lines_read


def _names(side: Side) -> tuple[str, ...]:
    """What is read of a credit: its balance, and what tells a booking charge (rule 5)."""
    charge = () if side is MONEY else ("BookingId", "BookingUniqueId")
    return ("Id", side.remaining, side.total, *charge)


async def _check(reading: Reading, side: Side, credits_: Sequence[Record], report: Report) -> int:
    ids = [record["Id"] for record in credits_]
    states = {
        record["CreditId"]: record
        for record in await reading.find(
            CreditState,
            where(CreditState, Id=[state_id((side.kind, i)) for i in ids]),
            names=("CreditId", "Held", "Sequence", "Digest"),
        )
    }
    records = await reading.find(
        JournalLine,
        where(JournalLine, CreditKind=side.kind.value, CreditId=ids),
        names=(*LINE_NAMES, "Digest"),
    )
    records.sort(key=lambda record: (record["CreditId"], record["Sequence"]))
    lines: dict[int, list[Line]] = {}
    for record in records:
        lines.setdefault(record["CreditId"], []).append(line_of(record))
    used = dict.fromkeys(ids, 0)
    for row in await reading.find(
        side.history,
        where(side.history, **{side.reference: ids}),
        names=(side.reference, "CreditUsed"),
    ):
        used[row[side.reference]] += row["CreditUsed"] or 0
    held = {credit_id: state["Held"] // side.scale for credit_id, state in states.items()}
    # Only a whole record says how far below zero it may go, and few go there.
    below = [c["Id"] for c in credits_ if c[side.remaining] < held.get(c["Id"], 0)]
    limits = await reading.many(side.credit, below) if below else {}
    for credit in credits_:
        state = states.get(credit["Id"])
        if is_charge(side, credit):
            continue
        begun = credit["Id"] in lines or (state is not None and state["Sequence"])
        if not begun and not used[credit["Id"]]:
            # Its journal opens with the first thing that moves it.
            continue
        stored = Balances(
            credit[side.remaining],
            held.get(credit["Id"], 0),
            credit[side.total],
            state["Sequence"] if state else 0,
            overdraft_of(side, limits[credit["Id"]]) if credit["Id"] in limits else 0,
        )
        for sentence in differences(stored, lines.get(credit["Id"], []), used[credit["Id"]]):
            report.problem(f"{side.credit.__name__} {credit['Id']}: {sentence}")
    _check_chains(side.kind, lines, records, states.values(), report)
    return len(records)


def _check_chains(
    kind: CreditKind,
    lines: dict[int, list[Line]],
    records: Sequence[Record],
    states: Iterable[Record],
    report: Report,
) -> None:
    chain = ChainReading()
    digests = [bytes.fromhex(record["Digest"]) for record in records]
    chain.read((line for of_credit in lines.values() for line in of_credit), digests)
    recorded = [
        Head(kind, state["CreditId"], state["Sequence"], bytes.fromhex(state["Digest"]))
        for state in states
        if state["Sequence"]
    ]
    for finding in [*chain.findings, *check_heads(chain.heads, recorded)]:
        report.problem(str(finding))
