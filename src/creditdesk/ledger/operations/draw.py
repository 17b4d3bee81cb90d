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
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, account_key, where
from creditdesk.ledger.journal.transaction import (
    EntryMetadata,
    JournalTransaction,
    LedgerContext,
    PendingEntry,
)
from creditdesk.ledger.loaders.sources import LOCKED_ENTITIES, ItemRequest
from creditdesk.ledger.loaders.use_references import UseReferences
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.spends import SpendRequest, spend_batch
from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import CreditKey, SourceKey, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import DomainError, raise_first_error
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Finder, Insert, Update, WriteSession
from creditdesk.schema.service import RequestContext

HISTORY_REFERENCES: Final[Mapping[SourceKind, str]] = {
    SourceKind.BOOKING: "BookingId",
    SourceKind.INVOICE_LINE: "CoworkerInvoiceLineId",
    SourceKind.EVENT_ATTENDANCE: "EventAttendeeId",
}


def preview(
    basket: Basket, ledger: LedgerContext, now: datetime, preferred: Collection[CreditKey] = ()
) -> Allocation:
    """What a spend on the basket would do now (rule 19).

    Raises SearchRequired for a basket whose sources compete for credit and that was not searched.
    """
    return allocate(
        basket.sources,
        basket.credits,
        basket.owner,
        ledger.settings,
        now,
        previously_used=preferred,
        assign=ledger.solutions.assign,
    )


@dataclass(slots=True)
class SpendPlan:
    """One basket on its way through a batch; `allocation` is there once it is decided.

    `holds` are given back first, and their credits preferred (rules 25, 26).
    """

    basket: Basket
    context: RequestContext
    ledger: LedgerContext
    holds: Sequence[Record] = ()
    preferred: Collection[CreditKey] = ()
    description: str = ""
    allocation: Allocation | None = field(default=None, init=False)

    def decide(self, journal: JournalTransaction, _facts: UseReferences) -> Sequence[PendingEntry]:
        """Allocates over the locked balances and writes the uses (rules 12 to 22).

        Raises SearchRequired for a basket that was not searched over these balances.
        """
        write_releases(journal, self.holds, self.context)
        credits_ = self.basket.with_locked_balances(journal, {hold["Id"] for hold in self.holds})
        held = {hold_account(hold) for hold in self.holds}
        preferred = {c.key for c in credits_ if account_key(c.key) in held} | set(self.preferred)
        self.allocation = preview(
            replace(self.basket, credits=credits_), self.ledger, journal.now, preferred
        )
        return [
            write_use(
                journal,
                account_key(part.credit),
                part.taken,
                source.source,
                self.basket.owner.id,
                self.context,
                self.description,
            )
            for source in self.allocation.sources
            for part in source.parts
        ]

    @property
    def spend_request(self) -> SpendRequest:
        accounts = {*self.basket.accounts, *(hold_account(hold) for hold in self.holds)}
        return SpendRequest(self.context, tuple(accounts), self.decide)


def write_use(
    journal: JournalTransaction,
    account: AccountKey,
    amount: int,
    source: SourceKey,
    customer_id: int | None,
    context: RequestContext,
    description: str = "",
) -> PendingEntry:
    """One use of one credit for one source of a customer, with its history row."""
    row: dict[str, Any] = {}
    if link := HISTORY_REFERENCES.get(source.kind):
        row[link] = source.id
    if account[0] is AccountType.MONEY:
        row["Description"] = description or str(source)
    elif link != "BookingId":
        row = {}
    metadata = EntryMetadata(
        context.principal.email, description, source.kind.value, source.id, context.idempotency_key,
        customer_id=customer_id,
    )  # fmt: skip
    return journal.append(account, EntryType.USE, amount, metadata, row)


def write_releases(
    journal: JournalTransaction, holds: Sequence[Record], context: RequestContext, reason: str = ""
) -> None:
    """Writes the release of holds that are still held (rule 26)."""
    for hold in holds:
        account = hold_account(hold)
        amount = hold["Amount"] // MAPPINGS[account[0]].scale
        metadata = EntryMetadata(
            context.principal.email,
            reason,
            hold["SourceKind"],
            hold["SourceId"],
            context.idempotency_key,
        )
        journal.append(account, EntryType.RELEASE, amount, metadata)


def hold_account(hold: Record) -> AccountKey:
    return (AccountType(hold["CreditKind"]), hold["CreditId"])


async def lock_sources(
    session: WriteSession, items: Sequence[ItemRequest], *, skip_locked: Sequence[ItemRequest] = ()
) -> set[SourceKey]:
    """Locks what is one purchase each, in a fixed order, so that none is settled twice at once.

    Gives those of `if_free` that it has not locked: another unit has, or they are not there.
    """
    missed: set[SourceKey] = set()
    for kind in sorted(LOCKED_ENTITIES):
        required_ids = [each.id for each in items if each.kind is kind]
        optional_ids = [each.id for each in skip_locked if each.kind is kind]
        found = await session.lock(
            LOCKED_ENTITIES[kind], required_ids, ("Id",), skip_locked=optional_ids
        )
        missed |= {
            SourceKey(kind, source_id) for source_id in optional_ids if source_id not in found
        }
    return missed


@dataclass(frozen=True, slots=True)
class StoredAllocation:
    """The group under which a decision's documents are kept, and all of it as one document."""

    allocation_group: int
    document: dict[str, object]


@dataclass(frozen=True, slots=True)
class SpendResult:
    """What a spend decided, and how that is kept."""

    allocation: Allocation
    stored: StoredAllocation


async def execute_spend(
    session: WriteSession, plan: SpendPlan, ledger: LedgerContext
) -> tuple[Allocation, int]:
    """Carries out a drawing as a batch of one and keeps its documents; gives their group too."""
    (done,) = raise_first_error(await execute_spends(session, [plan], ledger))
    return done.allocation, done.stored.allocation_group


async def execute_spends(
    session: WriteSession, plans: Sequence[SpendPlan], ledger: LedgerContext
) -> list[SpendResult | DomainError]:
    """Carries out drawings in their order and keeps the documents of those that were not refused.

    No two of their baskets may have marks in common: all were read before the first was drawn.
    """
    outcomes = await spend_batch(
        session, [drawing.spend_request for drawing in plans], ledger.clock
    )
    made = [
        (drawing, drawing.allocation)
        for drawing, outcome in zip(plans, outcomes, strict=True)
        if outcome.error is None and drawing.allocation is not None
    ]
    settled = [hold["Id"] for drawing, _ in made for hold in drawing.holds]
    kept = iter(
        await store_allocations(session, [(a, d.basket, d.context) for d, a in made], settled)
    )
    done: list[SpendResult | DomainError] = []
    for drawing, outcome in zip(plans, outcomes, strict=True):
        if outcome.error is not None:
            done.append(outcome.error)
        else:
            assert drawing.allocation is not None
            done.append(SpendResult(drawing.allocation, next(kept)))
    return done


async def store_allocations(
    session: WriteSession,
    decided: Sequence[tuple[Allocation, Basket, RequestContext]],
    settled: Sequence[int] = (),
) -> list[StoredAllocation]:
    """Stores allocations, one document for each source (rule 19).

    The holds with the ids `settled` became uses by them.
    """
    count = sum(len(allocation.sources) for allocation, _, _ in decided)
    if not count:
        return []
    ids = iter((await session.next_ids({AllocationDocument: count}))[AllocationDocument])
    documents: list[Record] = []
    kept = []
    for allocation, basket, context in decided:
        places = {source.key: source.business_id for source in basket.sources}
        own = [next(ids) for _ in allocation.sources]
        whole = allocation.to_document()
        kept.append(StoredAllocation(own[0], whole))
        for document_id, source, document in zip(
            own, allocation.sources, _split_by_source(whole), strict=True
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
            actor = context.principal.email
            documents.append(new_record(AllocationDocument, values, context.now, actor))
    confirmed = [(hold_id, {"State": "confirmed"}) for hold_id in settled]
    holds = [Update(Hold, confirmed)] if confirmed else []
    await session.write([Insert(AllocationDocument, documents), *holds])
    return kept


def _split_by_source(whole: Mapping[str, object]) -> list[dict[str, object]]:
    sources = whole["sources"]
    assert isinstance(sources, list)
    head = {name: value for name, value in whole.items() if name != "sources"}
    return [{**head, **source} for source in sources]


async def lock_source_holds(session: WriteSession, source: SourceKey) -> list[Record]:
    """The holds on one source that are still held."""
    return (await lock_holds_of(session, [source]))[source]


async def lock_holds_of(
    session: WriteSession, sources: Collection[SourceKey]
) -> dict[SourceKey, list[Record]]:
    """The holds on each source that are still held, locked so that none is let go meanwhile.

    Comes before the price is read: who confirms a hold has then paid, or waits; and before any cap
    or credit is locked. A kind of pass is sold to many, so its holds are nobody else's to settle.
    """
    return await lock_holds(session, sources, await find_holds(session, sources))


async def find_holds(finder: Finder, sources: Collection[SourceKey]) -> dict[int, SourceKey]:
    """Which holds `held_of` is to lock, by Id, and what each is on."""
    wanted = {source for source in sources if source.kind is not SourceKind.TIME_PASS}
    if not wanted:
        return {}
    kinds, ids = {source.kind.value for source in wanted}, {source.id for source in wanted}
    named = where(Hold, SourceId=ids, SourceKind=kinds, State="held")
    found = await finder.find(Hold, named, columns=("Id", "SourceKind", "SourceId"))
    keys = {h["Id"]: SourceKey(SourceKind(h["SourceKind"]), h["SourceId"]) for h in found}
    return {hold_id: key for hold_id, key in keys.items() if key in wanted}


async def lock_holds(
    session: WriteSession, sources: Collection[SourceKey], found: Mapping[int, SourceKey]
) -> dict[SourceKey, list[Record]]:
    """The holds that `find_held` found, by source, as far as they are held still."""
    held: dict[SourceKey, list[Record]] = {source: [] for source in sources}
    for hold_id, hold in sorted((await session.lock(Hold, list(found))).items()):
        if hold["State"] == "held":
            held[found[hold_id]].append(hold)
    return held


def without_held(
    basket: Basket, items: Sequence[ItemRequest], holds: Mapping[SourceKey, Sequence[Record]]
) -> Basket:
    """The basket without what is held for its sources, except where an amount was asked for."""
    return replace(
        basket,
        sources=tuple(
            structs.replace(source, price=max(0, source.price - sum(h["Covered"] for h in held)))
            if (held := holds.get(source.key)) and each.amount is None
            else source
            for source, each in zip(basket.sources, items, strict=True)
        ),
    )
