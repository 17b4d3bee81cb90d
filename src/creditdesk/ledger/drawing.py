"""A spend on a basket: the allocation is decided over locked credits and drawn in one batch.

The preview is the same decision over the same credits, without the draw (rule 19). This module
must not know how the basket was read or what answer is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.allocation import Allocation, allocate
from creditdesk.ledger.baskets import Basket
from creditdesk.ledger.credit import CreditKey, LedgerPolicy, SourceKey, SourceKind
from creditdesk.ledger.facts import Facts
from creditdesk.ledger.journal import Book, Desk, Why, Written
from creditdesk.ledger.line import CreditKind, LineKind
from creditdesk.ledger.records import SIDES, Account, account_of, new_record, where
from creditdesk.ledger.sources import ENTITIES, Asked
from creditdesk.ledger.spends import SpendRequest, spend_batch
from creditdesk.schema.entity import Record
from creditdesk.schema.store import Unit
from creditdesk.schema.writing import Call

HISTORY_LINK: Final[Mapping[SourceKind, str]] = {
    SourceKind.BOOKING: "BookingId",
    SourceKind.INVOICE_LINE: "CoworkerInvoiceLineId",
    SourceKind.EVENT_ATTENDANCE: "EventAttendeeId",
}


def preview(
    basket: Basket, policy: LedgerPolicy, now: datetime, preferred: Collection[CreditKey] = ()
) -> Allocation:
    """What a spend on the basket would do now (rule 19)."""
    return allocate(
        basket.sources, basket.credits, basket.owner, policy, now, already_used=preferred
    )


@dataclass(slots=True)
class Drawing:
    """One basket on its way through a batch; `allocation` is there once it is decided.

    `holds` are given back first, and their credits preferred (rules 25, 26).
    """

    basket: Basket
    call: Call
    policy: LedgerPolicy
    holds: Sequence[Record] = ()
    preferred: Collection[CreditKey] = ()
    description: str = ""
    allocation: Allocation | None = field(default=None, init=False)

    def decide(self, book: Book, _facts: Facts) -> Sequence[Written]:
        """Allocates over the locked balances and writes the uses (rules 12 to 22)."""
        release_in(book, self.holds, self.call)
        credits_ = self.basket.as_locked(book, {hold["Id"] for hold in self.holds})
        held = {account_of_hold(hold) for hold in self.holds}
        preferred = {c.key for c in credits_ if account_of(c.key) in held} | set(self.preferred)
        sources, owner = self.basket.sources, self.basket.owner
        self.allocation = allocate(
            sources, credits_, owner, self.policy, book.now, already_used=preferred
        )
        return [
            draw(
                book,
                account_of(part.credit),
                part.taken,
                source.source,
                owner.customer_id,
                self.call,
                self.description,
            )
            for source in self.allocation.sources
            for part in source.parts
        ]

    @property
    def request(self) -> SpendRequest:
        accounts = {*self.basket.accounts, *(account_of_hold(hold) for hold in self.holds)}
        return SpendRequest(self.call, tuple(accounts), self.decide)


def draw(
    book: Book,
    account: Account,
    amount: int,
    source: SourceKey,
    customer_id: int | None,
    call: Call,
    description: str = "",
) -> Written:
    """One use of one credit for one source of a customer, with its history row."""
    row: dict[str, Any] = {}
    if link := HISTORY_LINK.get(source.kind):
        row[link] = source.id
    if account[0] is CreditKind.MONEY:
        row["Description"] = description or str(source)
    elif link != "BookingId":
        row = {}
    why = Why(
        call.caller.email, description, source.kind.value, source.id, call.key,
        customer_id=customer_id,
    )  # fmt: skip
    return book.write(account, LineKind.USE, amount, why, row)


def release_in(book: Book, holds: Sequence[Record], call: Call, reason: str = "") -> None:
    """Writes the release of holds that are still held (rule 26)."""
    for hold in holds:
        account = account_of_hold(hold)
        amount = hold["Amount"] // SIDES[account[0]].scale
        why = Why(call.caller.email, reason, hold["SourceKind"], hold["SourceId"], call.key)
        book.write(account, LineKind.RELEASE, amount, why)


def account_of_hold(hold: Record) -> Account:
    return (CreditKind(hold["CreditKind"]), hold["CreditId"])


async def lock_sources(unit: Unit, asked: Sequence[Asked]) -> None:
    """Locks what is one purchase each, in a fixed order, so that none is settled twice at once."""
    for kind in sorted(ENTITIES):
        ids = sorted({each.id for each in asked if each.kind is kind})
        if ids:
            await unit.lock(ENTITIES[kind], ids)


async def spend(unit: Unit, drawing: Drawing, desk: Desk) -> tuple[Allocation, int]:
    """Carries out a drawing as a batch of one and keeps its documents; gives their group too."""
    (outcome,) = await spend_batch(unit, [drawing.request], desk.clock)
    if outcome.refusal is not None:
        raise outcome.refusal
    assert drawing.allocation is not None
    if drawing.holds:
        await unit.update(Hold, [(hold["Id"], {"State": "confirmed"}) for hold in drawing.holds])
    return drawing.allocation, await keep(unit, drawing.allocation, drawing.basket, drawing.call)


async def keep(unit: Unit, allocation: Allocation, basket: Basket, call: Call) -> int:
    """Stores the allocation, one document for each source, and gives their group (rule 19)."""
    ids = await unit.next_ids(AllocationDocument, len(allocation.sources))
    places = {source.key: source.business_id for source in basket.sources}
    records = [
        new_record(
            AllocationDocument,
            {
                "Id": document_id,
                "BusinessId": places[source.source],
                "CoworkerId": allocation.customer_id,
                "Group": ids[0],
                "SourceKind": source.source.kind.value,
                "SourceId": source.source.id,
                "Document": _of_one(allocation, place),
            },
            call.now,
            call.caller.email,
        )
        for place, (document_id, source) in enumerate(zip(ids, allocation.sources, strict=True))
    ]
    await unit.insert(AllocationDocument, records)
    return ids[0]


def _of_one(allocation: Allocation, place: int) -> dict[str, object]:
    document = replace(allocation, sources=(allocation.sources[place],)).to_document()
    sources = document.pop("sources")
    assert isinstance(sources, list)
    return {**document, **sources[0]}


async def held_for(unit: Unit, source: SourceKey) -> list[Record]:
    """The holds on a source that are still held, locked so that none is let go meanwhile.

    Comes before the price is read: who confirms a hold has then paid, or waits. A kind of pass is
    sold to many, so its holds are nobody else's to settle.
    """
    if source.kind is SourceKind.TIME_PASS:
        return []
    named = {"SourceKind": source.kind.value, "SourceId": source.id, "State": "held"}
    found = await unit.find(Hold, where(Hold, **named))
    locked = await unit.lock(Hold, [hold["Id"] for hold in found])
    return [hold for _, hold in sorted(locked.items()) if hold["State"] == "held"]


async def less_held(unit: Unit, basket: Basket, asked: Sequence[Asked]) -> Basket:
    """The basket without what is held for its sources, except where an amount was asked for."""
    sources = []
    for source, each in zip(basket.sources, asked, strict=True):
        holds = await held_for(unit, source.key) if each.amount is None else []
        held = sum(hold["Covered"] for hold in holds)
        sources.append(replace(source, price=max(0, source.price - held)))
    return replace(basket, sources=tuple(sources))
