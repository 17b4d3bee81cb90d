"""Holds: credit that is reserved for a source, then turned into uses or let go (rule 26).

A hold lowers what is available and not what remains. This module must not know the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.journal.context import Facts
from creditdesk.ledger.journal.entry import LineKind
from creditdesk.ledger.journal.mapping import SIDES, account_of, may_see, new_record, where
from creditdesk.ledger.journal.transaction import Book, Desk, Why, Written, open_book
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.draw import account_of_hold, draw, keep, preview, release_in
from creditdesk.ledger.operations.spends import SpendRequest, spend_batch
from creditdesk.ledger.rules.burn_down import Allocation
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Blocked, NotFound
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call


@dataclass(frozen=True, slots=True)
class Held:
    """A group of holds made together; `group` is None when no credit could be held."""

    group: int | None
    allocation: Allocation
    document: int


async def hold(
    unit: Unit, basket: Basket, call: Call, desk: Desk, until: datetime | None = None
) -> Held:
    """Reserves what a spend on the basket would take now, until an instant or until it is let go."""
    book = await open_book(unit, basket.accounts, desk.clock)
    fresh = Basket(basket.owner, basket.sources, basket.as_locked(book))
    allocation = preview(fresh, desk.policy, book.now)
    (kept,) = await keep(unit, [(allocation, basket, call)])
    places = {source.key: source.business_id for source in basket.sources}
    parts = [(source, part) for source in allocation.sources for part in source.parts]
    if not parts:
        return Held(None, allocation, kept.group)
    ids = (await unit.next_ids({Hold: len(parts)}))[Hold]
    records = []
    for hold_id, (source, part) in zip(ids, parts, strict=True):
        account = account_of(part.credit)
        why = Why(
            call.caller.email, "", source.source.kind.value, source.source.id, call.key
        )  # fmt: skip
        book.write(account, LineKind.HOLD, part.taken, why)
        values = {
            "Id": hold_id,
            "BusinessId": places[source.source],
            "CoworkerId": allocation.customer_id,
            "Group": ids[0],
            "CreditKind": account[0].value,
            "CreditId": account[1],
            "Amount": part.taken * SIDES[account[0]].scale,
            "Covered": part.covered,
            "SourceKind": source.source.kind.value,
            "SourceId": source.source.id,
            "Until": until,
            "State": "held",
            "AllocationId": kept.group,
        }
        records.append(new_record(Hold, values, call.now, call.caller.email))
    await unit.insert(Hold, records)
    await book.put_on_record(unit)
    return Held(ids[0], allocation, kept.group)


async def confirm(unit: Unit, group: int, call: Call, desk: Desk) -> bool:
    """Turns what is still held of a group into uses; False when nothing is, and nothing changed.

    Raises NotFound, and Blocked for holds that were all let go or have timed out.
    """
    group_holds = await _locked(unit, group, call)
    if all(h["State"] == "released" for h in group_holds):
        raise Blocked(f"Hold #{group} was released and cannot be confirmed.")
    holds = _still_held(group_holds)
    if not holds:
        return False
    if any(h["Until"] is not None and h["Until"] <= call.now for h in holds):
        raise Blocked(f"Hold #{group} has timed out and cannot be confirmed.")

    def decide(book: Book, _facts: Facts) -> Sequence[Written]:
        release_in(book, holds, call, "confirmed")
        return [
            draw(
                book,
                account_of_hold(h),
                h["Amount"] // SIDES[account_of_hold(h)[0]].scale,
                SourceKey(SourceKind(h["SourceKind"]), h["SourceId"]),
                h["CoworkerId"],
                call,
            )
            for h in holds
        ]

    request = SpendRequest(call, tuple(account_of_hold(h) for h in holds), decide)
    (outcome,) = await spend_batch(unit, [request], desk.clock)
    if outcome.refusal is not None:
        raise outcome.refusal
    await _set(unit, holds, "confirmed", call)
    return True


async def release(unit: Unit, group: int, call: Call, desk: Desk, reason: str = "") -> bool:
    """Lets go what is still held of a group; False when nothing is, and nothing changed.

    The credit keeps its expiry. Raises NotFound, and Blocked for holds that all became uses.
    """
    group_holds = await _locked(unit, group, call)
    if all(h["State"] == "confirmed" for h in group_holds):
        raise Blocked(f"Hold #{group} became uses and cannot be released; reverse them instead.")
    holds = _still_held(group_holds)
    if not holds:
        return False
    book = await open_book(unit, [account_of_hold(h) for h in holds], desk.clock)
    release_in(book, holds, call, reason or "released")
    await book.put_on_record(unit)
    await _set(unit, holds, "released", call)
    return True


async def release_due(unit: Unit, call: Call, desk: Desk, most: int = 100) -> list[int]:
    """Lets the holds go whose time is over, about `most` of them; gives their groups.

    All holds are locked before any credit, and all credits in one order, as everywhere (rule 31).
    """
    due = await unit.find(Hold, due_holds(desk.clock()), limit=most)
    together = await unit.find(Hold, where(Hold, Group=tuple({h["Group"] for h in due})))
    locked = await unit.lock(Hold, [h["Id"] for h in together])
    # A charge or a release may have come before the lock.
    holds = [locked[hold_id] for hold_id in sorted(locked) if locked[hold_id]["State"] == "held"]
    if not holds:
        return []
    book = await open_book(unit, [account_of_hold(h) for h in holds], desk.clock)
    release_in(book, holds, call, "timed out")
    await book.put_on_record(unit)
    await _set(unit, holds, "released", call)
    return sorted({h["Group"] for h in holds})


def due_holds(now: datetime) -> tuple[Filter, ...]:
    """The filters for holds whose time is over."""
    return (Filter(Hold.shape().columns["Until"], Test.AT_MOST, now), *where(Hold, State="held"))


async def _locked(unit: Unit, group: int, call: Call) -> list[Record]:
    found = await unit.find(Hold, where(Hold, Group=group))
    holds = list((await unit.lock(Hold, [h["Id"] for h in found])).values())
    if not holds or not all(may_see(call.caller, h["BusinessId"]) for h in holds):
        raise NotFound
    return sorted(holds, key=lambda h: h["Id"])


def _still_held(holds: Sequence[Record]) -> list[Record]:
    """Charging or cancelling one source of a group settles its holds and leaves the others."""
    return [h for h in holds if h["State"] == "held"]


async def _set(unit: Unit, holds: Sequence[Record], state: str, call: Call) -> None:
    stamp = {"UpdatedOn": call.now.replace(microsecond=0), "UpdatedBy": call.caller.email}
    await unit.update(Hold, [(h["Id"], {"State": state, **stamp}) for h in holds])
