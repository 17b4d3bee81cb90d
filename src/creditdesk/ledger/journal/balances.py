"""What a credit or a customer has, now or at an instant, as known then or as known now (rule 4).

Reads only. This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import Line, microseconds_of
from creditdesk.ledger.journal.mapping import (
    MONEY,
    SIDES,
    TIME,
    Account,
    line_of,
    may_see,
    overdraft_of,
    state_id,
    where,
)
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import has_lapsed
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.schema.repository import Reading
from creditdesk.schema.service import Call


@dataclass(frozen=True, slots=True)
class Balance:
    """One credit's amounts in its smallest step; `lapsing` is what lapses within the days asked.

    Credit that has lapsed has nothing available, swept or not (rule 28).
    """

    account: Account
    description: str
    currency: str | None
    remaining: Amount
    held: Amount
    available: Amount
    lapsing: Amount
    valid_from: datetime | None
    expires: datetime | None


def balance_at(lines: Iterable[Line], at: datetime, as_known_at: datetime | None = None) -> Amount:
    """What remained of a credit at `at`, in its smallest step.

    Alone: after the last line recorded by then. With `as_known_at`: what had taken effect by `at`,
    going by the lines recorded by `as_known_at`, so late corrections count where they belong.
    """
    instant = microseconds_of(at)
    if as_known_at is None:
        return sum(x.balance_change for x in lines if x.recorded_microseconds <= instant)
    known = microseconds_of(as_known_at)
    return sum(
        x.balance_change
        for x in lines
        if x.recorded_microseconds <= known and x.effective_microseconds <= instant
    )


async def balance(
    reading: Reading, account: Account, at: datetime, as_known_at: datetime | None = None
) -> Amount:
    """`balance_at` for one credit of the store.

    Alone it reads one line by an index, however long the journal (rule 4). With `as_known_at` it
    reads the credit's lines, for a late correction may stand anywhere among them.
    """
    kind, credit_id = account
    ours = where(JournalLine, CreditKind=kind.value, CreditId=credit_id)
    if as_known_at is None:
        recorded = JournalLine.shape().columns["RecordedOn"]
        by_then = Filter(recorded, Test.AT_MOST, at)
        last = await reading.find(
            JournalLine, (*ours, by_then), Order(recorded, descending=True), limit=1
        )
        return line_of(last[0]).balance_after if last else 0
    found = await reading.find(JournalLine, ours)
    return balance_at([line_of(record) for record in found], at, as_known_at)


async def balances(
    reading: Reading,
    customer_id: int,
    call: Call,
    *,
    lapsing_days: int = 30,
    at: datetime | None = None,
    as_known_at: datetime | None = None,
) -> list[Balance]:
    """A customer's credits that the caller may see, money first, each in order of Id."""
    result = []
    for side in (MONEY, TIME):
        found = await reading.find(side.credit, where(side.credit, CoworkerId=customer_id))
        seen = [
            record
            for record in found
            if may_see(call.caller, record["BusinessId"]) and not is_charge(side, record)
        ]
        ids = [state_id((side.kind, record["Id"])) for record in seen]
        states = await reading.many(CreditState, ids) if ids else {}
        overdrafts = await _overdrafts(reading, seen)
        for record in seen:
            account = (side.kind, record["Id"])
            remaining = record[side.remaining]
            state = states.get(state_id(account))
            held = state["Held"] // side.scale if state else 0
            if at is not None:
                remaining = await balance(reading, account, at, as_known_at)
            limit = overdrafts.get(record["Id"], 0)
            result.append(
                _balance(account, record, remaining, held, limit, at or call.now, lapsing_days)
            )
    return result


async def _overdrafts(reading: Reading, records: Iterable[Record]) -> dict[int, Amount]:
    """How far below zero the printing credits among them may go: only a whole record says it."""
    printing = [record["Id"] for record in records if record.get("ExtraServiceIsPrintingCredit")]
    whole = await reading.many(TIME.credit, printing) if printing else {}
    return {credit_id: overdraft_of(TIME, record) for credit_id, record in whole.items()}


def _balance(
    account: Account,
    record: Record,
    remaining: Amount,
    held: Amount,
    overdraft: Amount,
    at: datetime,
    lapsing_days: int,
) -> Balance:
    starts, ends = record["ValidFrom"], record["ExpireDate"]
    over = has_lapsed(ends, at)
    early = starts is not None and starts > at
    free = 0 if over else max(0, remaining - held)
    usable = 0 if over or early else max(0, remaining - held + overdraft)
    soon = ends is not None and ends <= at + timedelta(days=lapsing_days)
    return Balance(
        account,
        record.get("Description") or record.get("ExtraServiceName") or "",
        record.get("BusinessCurrencyCode") if SIDES[account[0]] is MONEY else None,
        remaining,
        held,
        usable,
        free if soon else 0,
        starts,
        ends,
    )
