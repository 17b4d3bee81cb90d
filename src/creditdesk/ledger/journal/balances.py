"""What a credit or a customer has, now or at an instant, as known then or as known now (rule 4).

Reads only. This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import JournalEntry, epoch_microseconds
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    MONEY_MAPPING,
    TIME_MAPPING,
    AccountKey,
    entry_from_record,
    is_booking_charge,
    overdraft_limit,
    state_id,
    where,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import has_expired
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class CreditBalance:
    """One credit's amounts in its smallest step; `lapsing` is what lapses within the days asked.

    Credit that has lapsed has nothing available, swept or not (rule 28).
    """

    account: AccountKey
    description: str
    currency: str | None
    remaining: Amount
    held: Amount
    available: Amount
    expiring: Amount
    valid_from: datetime | None
    expires: datetime | None


def balance_at(
    entries: Iterable[JournalEntry], at: datetime, as_known_at: datetime | None = None
) -> Amount:
    """What remained of a credit at `at`, in its smallest step.

    Alone: after the last line recorded by then. With `as_known_at`: what had taken effect by `at`,
    going by the lines recorded by `as_known_at`, so late corrections count where they belong.
    """
    instant = epoch_microseconds(at)
    if as_known_at is None:
        return sum(x.balance_change for x in entries if x.recorded_microseconds <= instant)
    known = epoch_microseconds(as_known_at)
    return sum(
        x.balance_change
        for x in entries
        if x.recorded_microseconds <= known and x.effective_microseconds <= instant
    )


async def credit_balance_at(
    session: ReadSession, account: AccountKey, at: datetime, as_known_at: datetime | None = None
) -> Amount:
    """`balance_at` for one credit of the store.

    Alone it reads one line by an index, however long the journal (rule 4). With `as_known_at` it
    reads the credit's lines, for a late correction may stand anywhere among them.
    """
    kind, credit_id = account
    ours = where(JournalLine, CreditKind=kind.value, CreditId=credit_id)
    if as_known_at is None:
        recorded = JournalLine.meta().columns["RecordedOn"]
        by_then = Filter(recorded, Comparison.AT_MOST, at)
        last = await session.find(
            JournalLine, (*ours, by_then), Order(recorded, descending=True), limit=1
        )
        return entry_from_record(last[0]).balance_after if last else 0
    found = await session.find(JournalLine, ours)
    return balance_at([entry_from_record(record) for record in found], at, as_known_at)


async def customer_balances(
    session: ReadSession,
    customer_id: int,
    context: RequestContext,
    *,
    expiring_within_days: int = 30,
    at: datetime | None = None,
    as_known_at: datetime | None = None,
) -> list[CreditBalance]:
    """A customer's credits that the caller may see, money first, each in order of Id."""
    result = []
    for mapping in (MONEY_MAPPING, TIME_MAPPING):
        found = await session.find(
            mapping.credit_entity, where(mapping.credit_entity, CoworkerId=customer_id)
        )
        seen = [
            record
            for record in found
            if context.principal.sees_location(record["BusinessId"])
            and not is_booking_charge(mapping, record)
        ]
        ids = [state_id((mapping.account_type, record["Id"])) for record in seen]
        states = await session.get_many(AccountState, ids) if ids else {}
        overdraft_limits = await _overdraft_limits(session, seen)
        for record in seen:
            account = (mapping.account_type, record["Id"])
            remaining = record[mapping.remaining_field]
            state = states.get(state_id(account))
            held = state["Held"] // mapping.scale if state else 0
            if at is not None:
                remaining = await credit_balance_at(session, account, at, as_known_at)
            limit = overdraft_limits.get(record["Id"], 0)
            result.append(
                _credit_balance(
                    account, record, remaining, held, limit, at or context.now, expiring_within_days
                )
            )
    return result


async def _overdraft_limits(session: ReadSession, records: Iterable[Record]) -> dict[int, Amount]:
    """How far below zero the printing credits among them may go: only a whole record says it."""
    printing = [record["Id"] for record in records if record.get("ExtraServiceIsPrintingCredit")]
    whole = await session.get_many(TIME_MAPPING.credit_entity, printing) if printing else {}
    return {credit_id: overdraft_limit(TIME_MAPPING, record) for credit_id, record in whole.items()}


def _credit_balance(
    account: AccountKey,
    record: Record,
    remaining: Amount,
    held: Amount,
    overdraft: Amount,
    at: datetime,
    expiring_within_days: int,
) -> CreditBalance:
    starts, ends = record["ValidFrom"], record["ExpireDate"]
    over = has_expired(ends, at)
    early = starts is not None and starts > at
    free = 0 if over else max(0, remaining - held)
    usable = 0 if over or early else max(0, remaining - held + overdraft)
    soon = ends is not None and ends <= at + timedelta(days=expiring_within_days)
    return CreditBalance(
        account,
        record.get("Description") or record.get("ExtraServiceName") or "",
        record.get("BusinessCurrencyCode") if MAPPINGS[account[0]] is MONEY_MAPPING else None,
        remaining,
        held,
        usable,
        free if soon else 0,
        starts,
        ends,
    )
