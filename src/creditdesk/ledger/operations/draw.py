"""A spend on a basket: the allocation is decided over locked credits and drawn in one batch.

The preview is the same decision over the same credits, without the draw (rule 19). This module
must not know how the basket was read or what answer is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.journal.context import Facts
from creditdesk.ledger.journal.entry import CreditKind, LineKind
from creditdesk.ledger.journal.mapping import SIDES, Account, account_of, new_record, where
from creditdesk.ledger.journal.transaction import Book, Desk, Why, Written
from creditdesk.ledger.loaders.sources import ENTITIES, Asked
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.spends import SpendRequest, spend_batch
from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import CreditKey, LedgerPolicy, SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import Refusal, none_refused
from creditdesk.schema.repository import Finding, Insert, Unit, Update
from creditdesk.schema.service import Call

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


async def lock_sources(
    unit: Unit, asked: Sequence[Asked], *, if_free: Sequence[Asked] = ()
) -> set[SourceKey]:
    """Locks what is one purchase each, in a fixed order, so that none is settled twice at once.

    Gives those of `if_free` that it has not locked: another unit has, or they are not there.
    """
    missed: set[SourceKey] = set()
    for kind in sorted(ENTITIES):
        needed = [each.id for each in asked if each.kind is kind]
        wished = [each.id for each in if_free if each.kind is kind]
        found = await unit.lock(ENTITIES[kind], needed, ("Id",), if_free=wished)
        missed |= {SourceKey(kind, source_id) for source_id in wished if source_id not in found}
    return missed


@dataclass(frozen=True, slots=True)
class Kept:
    """The group under which a decision's documents are kept, and all of it as one document."""

    group: int
    document: dict[str, object]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a spend decided, and how that is kept."""

    allocation: Allocation
    kept: Kept


async def spend(unit: Unit, drawing: Drawing, desk: Desk) -> tuple[Allocation, int]:
    """Carries out a drawing as a batch of one and keeps its documents; gives their group too."""
    (done,) = none_refused(await spend_all(unit, [drawing], desk))
    return done.allocation, done.kept.group


async def spend_all(unit: Unit, drawings: Sequence[Drawing], desk: Desk) -> list[Drawn | Refusal]:
    """Carries out drawings in their order and keeps the documents of those that were not refused.

    No two of their baskets may have marks in common: all were read before the first was drawn.
    """
    outcomes = await spend_batch(unit, [drawing.request for drawing in drawings], desk.clock)
    made = [
        (drawing, drawing.allocation)
        for drawing, outcome in zip(drawings, outcomes, strict=True)
        if outcome.refusal is None and drawing.allocation is not None
    ]
    settled = [hold["Id"] for drawing, _ in made for hold in drawing.holds]
    kept = iter(await keep(unit, [(a, d.basket, d.call) for d, a in made], settled))
    done: list[Drawn | Refusal] = []
    for drawing, outcome in zip(drawings, outcomes, strict=True):
        if outcome.refusal is not None:
            done.append(outcome.refusal)
        else:
            assert drawing.allocation is not None
            done.append(Drawn(drawing.allocation, next(kept)))
    return done


async def keep(
    unit: Unit,
    decided: Sequence[tuple[Allocation, Basket, Call]],
    settled: Sequence[int] = (),
) -> list[Kept]:
    """Stores allocations, one document for each source (rule 19).

    The holds with the ids `settled` became uses by them.
    """
    count = sum(len(allocation.sources) for allocation, _, _ in decided)
    if not count:
        return []
    ids = iter((await unit.next_ids({AllocationDocument: count}))[AllocationDocument])
    documents: list[Record] = []
    kept = []
    for allocation, basket, call in decided:
        places = {source.key: source.business_id for source in basket.sources}
        own = [next(ids) for _ in allocation.sources]
        whole = allocation.to_document()
        kept.append(Kept(own[0], whole))
        for document_id, source, document in zip(
            own, allocation.sources, _of_each_source(whole), strict=True
        ):
            values = {
                "Id": document_id,
                "BusinessId": places[source.source],
                "CoworkerId": allocation.customer_id,
                "Group": own[0],
                "SourceKind": source.source.kind.value,
                "SourceId": source.source.id,
                "Document": document,
            }
            actor = call.caller.email
            documents.append(new_record(AllocationDocument, values, call.now, actor))
    confirmed = [(hold_id, {"State": "confirmed"}) for hold_id in settled]
    holds = [Update(Hold, confirmed)] if confirmed else []
    await unit.write([Insert(AllocationDocument, documents), *holds])
    return kept


def _of_each_source(whole: Mapping[str, object]) -> list[dict[str, object]]:
    sources = whole["sources"]
    assert isinstance(sources, list)
    head = {name: value for name, value in whole.items() if name != "sources"}
    return [{**head, **source} for source in sources]


async def held_for(unit: Unit, source: SourceKey) -> list[Record]:
    """The holds on one source that are still held."""
    return (await held_of(unit, [source]))[source]


async def held_of(unit: Unit, sources: Collection[SourceKey]) -> dict[SourceKey, list[Record]]:
    """The holds on each source that are still held, locked so that none is let go meanwhile.

    Comes before the price is read: who confirms a hold has then paid, or waits; and before any cap
    or credit is locked. A kind of pass is sold to many, so its holds are nobody else's to settle.
    """
    return await lock_held(unit, sources, await find_held(unit, sources))


async def find_held(finding: Finding, sources: Collection[SourceKey]) -> dict[int, SourceKey]:
    """Which holds `held_of` is to lock, by Id, and what each is on."""
    wanted = {source for source in sources if source.kind is not SourceKind.TIME_PASS}
    if not wanted:
        return {}
    kinds, ids = {source.kind.value for source in wanted}, {source.id for source in wanted}
    named = where(Hold, SourceId=ids, SourceKind=kinds, State="held")
    found = await finding.find(Hold, named, names=("Id", "SourceKind", "SourceId"))
    keys = {h["Id"]: SourceKey(SourceKind(h["SourceKind"]), h["SourceId"]) for h in found}
    return {hold_id: key for hold_id, key in keys.items() if key in wanted}


async def lock_held(
    unit: Unit, sources: Collection[SourceKey], found: Mapping[int, SourceKey]
) -> dict[SourceKey, list[Record]]:
    """The holds that `find_held` found, by source, as far as they are held still."""
    held: dict[SourceKey, list[Record]] = {source: [] for source in sources}
    for hold_id, hold in sorted((await unit.lock(Hold, list(found))).items()):
        if hold["State"] == "held":
            held[found[hold_id]].append(hold)
    return held


def less_held(
    basket: Basket, asked: Sequence[Asked], holds: Mapping[SourceKey, Sequence[Record]]
) -> Basket:
    """The basket without what is held for its sources, except where an amount was asked for."""
    return replace(
        basket,
        sources=tuple(
            structs.replace(source, price=max(0, source.price - sum(h["Covered"] for h in held)))
            if (held := holds.get(source.key)) and each.amount is None
            else source
            for source, each in zip(basket.sources, asked, strict=True)
        ),
    )
