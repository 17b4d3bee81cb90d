"""What can be done to a credit besides spending it: grant, reverse, adjust, void, expire, reopen.

Each locks in id order, decides, writes and proves; none commits. This module must not know the
wire, nor what a credit is spent on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import CreditKind, Line, LineKind
from creditdesk.ledger.journal.mapping import (
    Account,
    Side,
    line_of,
    may_see,
    new_record,
    state_id,
    unknown,
    where,
)
from creditdesk.ledger.journal.transaction import Book, Desk, Locked, Why, is_charge, open_book
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditKey, PayingKind
from creditdesk.ledger.rules.renewal import has_lapsed
from creditdesk.ledger.rules.reversal import NothingLeftToReverse, Use, return_of, reversal_amount
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Blocked, Invalid, invalid
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call

_NOT_COPIED = ("Id", "UniqueId", "CreatedOn", "UpdatedOn", "UpdatedBy", "Overdraft")


async def grant(
    unit: Unit,
    side: Side,
    records: Sequence[Record],
    call: Call,
    desk: Desk,
    *,
    reason: str = "granted",
    state: Mapping[str, Any] | None = None,
) -> list[int]:
    """Adds credits with all of their total remaining, and gives their ids (rule 6).

    `state` sets fields of their `CreditState`, such as Paid or GrantedFrom.
    """
    now = desk.clock()
    fresh = [
        new_record(side.credit, {**record, side.remaining: record[side.total]}, now, call.caller.email)
        for record in records
    ]  # fmt: skip
    ids = await unit.insert(side.credit, fresh)
    book = Book(now, {})
    for credit_id, record in zip(ids, fresh, strict=True):
        account = (side.kind, credit_id)
        total = record[side.total]
        whole = {**record, "Id": credit_id}
        book.credits[account] = Locked(side, whole, None, total, 0, total, 0, now)
        book.open_account(account, Why(call.caller.email, reason, idempotency_key=call.key))
        if state:
            book.note(account, **state)
    await book.put_on_record(unit)
    return ids


@dataclass(frozen=True, slots=True)
class Reversed:
    """What came back of one use; `reissued` is the linked grant it went on to, if it did."""

    history_id: int
    account: Account
    amount: Amount
    reissued: int | None = None


async def reverse(
    unit: Unit,
    side: Side,
    history_ids: Sequence[int],
    call: Call,
    desk: Desk,
    *,
    amount: Amount | None = None,
    reason: str = "",
) -> list[Reversed]:
    """Gives uses back to the credits they came from: `amount` of each, or all that is left.

    What is already back stays as it is, so repeating a reversal changes nothing (rule 30). Raises
    Invalid for more than is left, Blocked for a row that is no use.
    """
    rows = await unit.many(side.history, history_ids)
    if missing := sorted(set(history_ids) - rows.keys()):
        raise unknown(side.history.__name__, missing[0])
    accounts = {(side.kind, row[side.reference]) for row in rows.values()}
    book = await open_book(unit, accounts, desk.clock)
    lines = await lines_on(unit, accounts)
    done = []
    for history_id in history_ids:
        row = rows[history_id]
        account = (side.kind, row[side.reference])
        see(call, book, account, side.history.__name__, history_id)
        on_credit = lines.get(account, [])
        used = next((x for x in on_credit if x.history_id == history_id), None)
        if used is None or used.kind is not LineKind.USE:
            raise Blocked(f"#{history_id} is not a use, so it cannot be reversed.")
        back = _left_of(used, on_credit, amount)
        if not back:
            done.append(Reversed(history_id, account, 0))
            continue
        why = Why(
            call.caller.email,
            reason or f"reversal of #{history_id}",
            used.source_kind,
            used.source_id,
            call.key,
            reverses=used.sequence,
        )
        written = book.write(account, LineKind.REVERSAL, back, why, _row_for(side, row, why.reason))
        # The same use may be named again further on.
        on_credit.append(written.line)
        done.append(await _reissued(unit, book, account, back, history_id, call, desk))
    await book.put_on_record(unit)
    return done


def _left_of(used: Line, on_credit: Sequence[Line], asked: Amount | None) -> Amount:
    before = sum(x.amount for x in on_credit if x.reverses == used.sequence)
    use = Use(
        used.history_id or 0, CreditKey(PayingKind(used.credit_kind.value), used.credit_id),
        used.amount, reversed=before,
    )  # fmt: skip
    try:
        return reversal_amount(use, asked)
    except NothingLeftToReverse as nothing:
        raise invalid("Amount", f"{nothing} (rule 30)") from None
    except ValueError as wrong:
        raise invalid("Amount", str(wrong)) from None


async def _reissued(
    unit: Unit,
    book: Book,
    account: Account,
    amount: Amount,
    history_id: int,
    call: Call,
    desk: Desk,
) -> Reversed:
    """Returns to a lapsed credit go on to a linked grant, where days of grace are set (rule 30)."""
    credit = book.credits[account]
    key = CreditKey(PayingKind(account[0].value), account[1])
    grace = desk.policy.return_grace_days
    back = return_of(key, credit.record["ExpireDate"], amount, book.now, grace)
    # What an overdraft had given comes back to it first.
    beyond = amount if amount <= credit.available or not credit.overdraft else credit.available
    if not back.reissued or beyond <= 0:
        return Reversed(history_id, account, amount)
    book.write(account, LineKind.VOID, beyond, Why(call.caller.email, "returned as a new grant"))
    whole = await unit.get(credit.side.credit, account[1])
    assert whole is not None
    own = _own(credit.side, whole)
    copy = {**own, credit.side.total: beyond, "ExpireDate": back.expires}
    (granted,) = await grant(
        unit,
        credit.side,
        [copy],
        call,
        desk,
        reason=f"returned after credit #{account[1]} lapsed",
        state={"GrantedFrom": account[1]},
    )
    return Reversed(history_id, account, amount, granted)


async def adjust(
    unit: Unit,
    account: Account,
    amount: Amount,
    reason: str,
    call: Call,
    desk: Desk,
    effective: datetime | None = None,
) -> Locked:
    """Corrects what remains, up or down; past the total raises the total (rule 2).

    The correction is a history row too, negative when upward. Raises Invalid for 0, and for
    taking more than is there and not held.
    """
    if not amount:
        raise invalid("Amount", "must not be zero")
    book = await open_book(unit, [account], desk.clock)
    credit = see(call, book, account)
    if amount < min(0, -credit.available):
        left = credit.side.shown(max(0, credit.available))
        raise invalid("Amount", f"takes more than the {left} that remains and is not held (rule 2)")
    why = Why(call.caller.email, reason, idempotency_key=call.key, effective=effective)
    row = {"Description": reason} if account[0] is CreditKind.MONEY else {}
    book.write(account, LineKind.ADJUSTMENT, amount, why, row)
    await book.put_on_record(unit)
    return book.credits[account]


@dataclass(frozen=True, slots=True)
class Voided:
    """What a void removed, and what had been used before (rule 29)."""

    account: Account
    removed: Amount
    used: Amount
    held: Amount


async def void(
    unit: Unit, accounts: Sequence[Account], reason: str, call: Call, desk: Desk
) -> list[Voided]:
    """Removes what is unused of each grant; what is held stays for its source (rules 26, 29)."""
    book = await open_book(unit, accounts, desk.clock)
    done = []
    for account in accounts:
        credit = see(call, book, account)
        removed = max(0, credit.available)
        if removed:
            why = Why(call.caller.email, reason or "voided", idempotency_key=call.key)
            book.write(account, LineKind.VOID, removed, why)
        used = credit.total - credit.remaining
        done.append(Voided(account, removed, used, credit.held))
    await book.put_on_record(unit)
    return done


async def prioritise(
    unit: Unit, accounts: Sequence[Account], priority: int, call: Call, desk: Desk
) -> None:
    """Sets the place of credits in the order of payment, the lower first (rule 18, number 3)."""
    book = await open_book(unit, accounts, desk.clock)
    for account in accounts:
        see(call, book, account)
        why = Why(call.caller.email, f"priority {priority}", idempotency_key=call.key)
        book.write(account, LineKind.ADJUSTMENT, 0, why)
        book.note(account, Priority=priority)
    await book.put_on_record(unit)


async def expire(unit: Unit, side: Side, call: Call, desk: Desk, most: int = 500) -> list[Account]:
    """Writes an expiry line on lapsed credits that have none for this expiry yet (rule 28).

    The line is for the unused part and changes no balance; at most `most` credits at a time.
    Gives the credits it wrote on, so the caller repeats while there are any.
    """
    now = desk.clock()
    swept: list[Account] = []
    after = 0
    while len(swept) < most:
        found = await unit.find(side.credit, lapsed(side, now), limit=most, after_id=after)
        if not found:
            break
        after = found[-1]["Id"]
        due = [(side.kind, c["Id"]) for c in found if not is_charge(side, c)]
        states = await unit.many(CreditState, [state_id(account) for account in due])
        ends = {c["Id"]: c["ExpireDate"] for c in found}
        swept += [
            a for a in due
            if (states.get(state_id(a)) or {}).get("ExpirySwept") != ends[a[1]]
        ]  # fmt: skip
    return await sweep(unit, swept[:most], call, desk)


def lapsed(side: Side, now: datetime) -> tuple[Filter, ...]:
    """The filters for credits that lapsed with something left, swept or not."""
    columns = side.credit.shape().columns
    return (
        Filter(columns["ExpireDate"], Test.AT_MOST, now),
        Filter(columns[side.remaining], Test.AT_LEAST, 1),
    )


async def sweep(unit: Unit, accounts: Sequence[Account], call: Call, desk: Desk) -> list[Account]:
    """Writes the expiry line of those credits that, once locked, still want one (rule 28)."""
    book = await open_book(unit, accounts, desk.clock)
    swept = []
    for account, credit in book.credits.items():
        ends = credit.record["ExpireDate"]
        before = credit.state["ExpirySwept"] if credit.state else None
        # A spend or an extension may have come before the lock.
        if not has_lapsed(ends, book.now) or before == ends or credit.available <= 0:
            continue
        why = Why(call.caller.email, "lapsed unused", effective=ends)
        book.write(account, LineKind.EXPIRY, credit.available, why)
        book.note(account, ExpirySwept=ends)
        swept.append(account)
    await book.put_on_record(unit)
    return swept


async def lines_on(unit: Unit, accounts: set[Account]) -> dict[Account, list[Line]]:
    """The journal lines of locked credits, each credit's in order."""
    found: dict[Account, list[Line]] = {}
    for kind in {kind for kind, _ in accounts}:
        ids = tuple(credit_id for side, credit_id in accounts if side is kind)
        for record in await unit.find(
            JournalLine, where(JournalLine, CreditKind=kind.value, CreditId=ids)
        ):
            found.setdefault((kind, record["CreditId"]), []).append(line_of(record))
    for lines in found.values():
        lines.sort(key=lambda line: line.sequence)
    return found


def see(
    call: Call,
    book: Book,
    account: Account,
    relation: str = "Credit",
    attempted: object = None,
) -> Locked:
    """The locked credit, when it exists for the caller and has a balance. Raises Invalid."""
    credit = book.credits.get(account)
    if credit is None or not may_see(call.caller, credit.record["BusinessId"]):
        raise unknown(relation, account[1] if attempted is None else attempted)
    if is_charge(credit.side, credit.record):
        raise invalid(relation, "is a booking charge and has no balance (rule 5)")
    return credit


def _row_for(side: Side, used: Record, reason: str) -> dict[str, Any]:
    """The history row of a reversal names what the use named."""
    names = ("BookingId", "CoworkerInvoiceLineId", "EventAttendeeId")
    row = {name: used[name] for name in names if used.get(name)}
    return {**row, "Description": reason} if side.kind is CreditKind.MONEY else row


def _own(side: Side, whole: Record) -> Record:
    shape = side.credit.shape()
    names = [c.name for c in (*shape.stored, *shape.collections) if c.name not in _NOT_COPIED]
    return {name: whole[name] for name in names}


def refuse_below_used(side: Side, credit: Locked, total: Amount) -> None:
    """A total may not fall below what is used and held (rule 6)."""
    used = credit.total - credit.available
    if total < min(used, credit.total):
        sentence = f"must not be less than the {side.shown(used)} that is used or held (rule 6)"
        raise Invalid(*invalid(side.total, sentence).errors)
