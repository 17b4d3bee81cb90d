"""Roll-over: what is left of a plan's benefit goes on as a new grant, where that is set (rule 27).

Off unless a benefit has a cap and a number of periods. This module must not know which periods
are due.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.entities.ledger.benefit_rollover import BenefitRollOver
from creditdesk.ledger.journal.entry import CreditKind, LineKind
from creditdesk.ledger.journal.mapping import Account, Side, new_record, where
from creditdesk.ledger.journal.transaction import Book, Desk, Why, open_book
from creditdesk.ledger.operations.corrections import grant
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.renewal import RollOver, has_lapsed, rolled_over
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import invalid
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call

ROLLED: Final = "/rolled"
"""Ends the name under which a grant's key keeps what was rolled over of a benefit."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """One period's grant of one benefit: its key, and the record it was made from."""

    side: Side
    contract_id: int
    benefit: str
    starts: datetime
    key: str
    record: Record


async def set_roll_over(
    unit: Unit, side: Side, benefit_id: int, roll_over: RollOver, call: Call
) -> None:
    """Sets how a plan's benefit rolls over from its next renewal on; no cap or period turns it off.

    Raises Invalid for less than none.
    """
    for name, value in (("Cap", roll_over.cap), ("Periods", roll_over.periods)):
        if value < 0:
            raise invalid(name, "must not be negative")
    benefit = f"{side.kind.value}/{benefit_id}"
    before = await unit.find(BenefitRollOver, where(BenefitRollOver, Benefit=benefit))
    await unit.delete(BenefitRollOver, [known["Id"] for known in before])
    if roll_over.cap and roll_over.periods:
        values = {
            "Benefit": benefit,
            "Cap": roll_over.cap * side.scale,
            "Periods": roll_over.periods,
        }
        record = new_record(BenefitRollOver, values, call.now, call.caller.email)
        await unit.insert(BenefitRollOver, [record])


async def roll_overs(reading: Reading, benefits: Mapping[str, Side]) -> dict[str, RollOver]:
    """How those of the benefits roll over that do, by name."""
    named = where(BenefitRollOver, Benefit=tuple(benefits))
    return {
        found["Benefit"]: RollOver(
            found["Cap"] // benefits[found["Benefit"]].scale, found["Periods"]
        )
        for found in await reading.find(BenefitRollOver, named)
    }


async def lock_granted(
    unit: Unit, contract_ids: Collection[int], benefits: Collection[str], desk: Desk
) -> None:
    """Locks what the contracts were granted of the benefits, all at once and in order (rule 31)."""
    if contract_ids and benefits:
        keys = await _keys(unit, contract_ids, benefits)
        await open_book(unit, [_account(key) for key in keys], desk.clock)


async def roll_over(
    unit: Unit, renewed: Renewed, allowed: RollOver, call: Call, desk: Desk
) -> list[int]:
    """Moves what is left of the period before to new grants linked to the old; gives their ids.

    What has rolled over least goes first. The old credits keep what is above the cap, lapsed.
    """
    keys = await _keys(unit, [renewed.contract_id], [renewed.benefit])
    earlier = [key for key in keys if key["PeriodStart"] < renewed.starts]
    if not earlier:
        return []
    last = max(key["PeriodStart"] for key in earlier)
    before = [_account(key) for key in earlier if key["PeriodStart"] == last]
    book = await open_book(unit, before, desk.clock)
    moved: list[tuple[Account, Amount, int]] = []
    room = allowed.cap
    for account in sorted(book.credits, key=lambda each: (_times(book, each), each[1])):
        credit, times = book.credits[account], _times(book, account)
        if not has_lapsed(credit.record["ExpireDate"], book.now):
            continue
        amount = rolled_over(credit.available, replace(allowed, cap=room), times)
        if amount:
            room -= amount
            _take(book, account, amount, call)
            moved.append((account, amount, times + 1))
    await book.put_on_record(unit)
    return [await _go_on(unit, renewed, *each, call, desk) for each in moved]


def _take(book: Book, account: Account, amount: Amount, call: Call) -> None:
    credit = book.credits[account]
    if credit.state and credit.state["ExpirySwept"] == credit.record["ExpireDate"]:
        # What its expiry line says did not all lapse; the next sweep says what did.
        why = Why(call.caller.email, "part of it is rolled over")
        book.write(account, LineKind.REOPENING, credit.available, why)
        book.note(account, ExpirySwept=None)
    book.write(account, LineKind.VOID, amount, Why(call.caller.email, "rolled over"))


async def _go_on(
    unit: Unit,
    renewed: Renewed,
    account: Account,
    amount: Amount,
    times: int,
    call: Call,
    desk: Desk,
) -> int:
    side, record = renewed.side, {**renewed.record, renewed.side.total: amount}
    reason = f"rolled over from credit #{account[1]}"
    state = {"GrantedFrom": account[1], "TimesRolled": times}
    (credit_id,) = await grant(unit, side, [record], call, desk, reason=reason, state=state)
    key = {
        "Key": f"{renewed.key}{ROLLED}/{account[1]}",
        "ContractId": renewed.contract_id,
        "Benefit": f"{renewed.benefit}{ROLLED}",
        "PeriodStart": renewed.starts,
        "CreditKind": side.kind.value,
        "CreditId": credit_id,
    }
    await unit.insert(GrantKey, [new_record(GrantKey, key, call.now, call.caller.email)])
    return credit_id


async def _keys(
    reading: Reading, contract_ids: Collection[int], benefits: Collection[str]
) -> Sequence[Record]:
    names = tuple(name for each in benefits for name in (each, each + ROLLED))
    return await reading.find(
        GrantKey, where(GrantKey, ContractId=tuple(contract_ids), Benefit=names)
    )


def _account(key: Record) -> Account:
    return (CreditKind(key["CreditKind"]), key["CreditId"])


def _times(book: Book, account: Account) -> int:
    state = book.credits[account].state
    return state["TimesRolled"] if state else 0
