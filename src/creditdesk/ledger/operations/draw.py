"""Spends on baskets: each is allocated over its locked credits, then its uses are written.

A preview makes the same decision over the same credits and writes nothing (rule 19).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from msgspec import structs

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.states import HoldState, Operation
from creditdesk.ledger.journal.accounts import EntryMetadata, PendingEntry
from creditdesk.ledger.journal.causes import SOURCE_CAUSES, Cause
from creditdesk.ledger.journal.entry import AccountType, EntryType
from creditdesk.ledger.journal.mapping import AccountKey, account_key
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.loaders.holds import HoldRow
from creditdesk.ledger.loaders.items import ItemRequest
from creditdesk.ledger.loaders.uses import HISTORY_REFERENCES
from creditdesk.ledger.operations.baskets import Basket
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import Allocation, allocate
from creditdesk.ledger.rules.credit import CreditKey, SourceKey, SourceKind
from creditdesk.ledger.rules.kept_payments import with_kept_payments
from creditdesk.schema.entity import Record
from creditdesk.schema.errors import DomainError
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import Insert, Update, WriteSession
from creditdesk.schema.service import RequestContext


def preview(
    basket: Basket,
    ledger: LedgerContext,
    now: datetime,
    preferred: Collection[CreditKey] = (),
    kept: Mapping[CreditKey, Amount] = MappingProxyType({}),
) -> Allocation:
    """What a spend on the basket would do now (rule 19).

    `kept` is what credits paid for the basket's one source before it changed (rule 25).

    Raises SearchRequired for a basket whose sources compete for credit and that was not searched.
    """
    credits_ = basket.credits
    if kept:
        (source,) = basket.sources
        credits_ = with_kept_payments(credits_, source, kept, ledger.settings, now)
    return allocate(
        basket.sources,
        credits_,
        basket.owner,
        ledger.settings,
        now,
        previously_used={*preferred, *kept},
        assign=ledger.solutions.assign,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """An allocation as it is stored: what it was made for, and the ids of its sources' documents."""

    allocation: Allocation
    basket: Basket
    context: RequestContext
    operation: Operation
    document_ids: Sequence[int]


@dataclass(slots=True)
class SpendPlan:
    """A basket to be spent. `allocation` is set once it is decided.

    `holds` are released first and their credits preferred, as are those in `kept`, by what they
    paid before the source changed (rules 25, 26). `document_ids` are those of the documents of its
    sources, in order.
    """

    basket: Basket
    context: RequestContext
    ledger: LedgerContext
    holds: Sequence[HoldRow] = ()
    kept: Mapping[CreditKey, Amount] = field(default_factory=dict)
    description: str = ""
    operation: Operation = Operation.SPEND
    allocation: Allocation | None = field(default=None, init=False)
    document_ids: Sequence[int] = field(default=(), init=False)
    _uses: list[list[PendingEntry]] = field(default_factory=list, init=False)

    @property
    def accounts(self) -> set[AccountKey]:
        """The accounts to lock before the decision."""
        return {*self.basket.accounts, *(hold.account for hold in self.holds)}

    def decide(self, journal: JournalTransaction) -> Sequence[PendingEntry]:
        """Allocates over the locked balances and writes the uses (rules 12 to 22).

        Raises SearchRequired for a basket that was not searched over these balances.
        """
        self.holds = [hold for hold in self.holds if not hold.has_ended(journal.now)]
        write_releases(journal, self.holds, self.context, Cause.CHARGED)
        credits_ = self.basket.with_locked_balances(journal, {hold.id for hold in self.holds})
        held = {hold.account for hold in self.holds}
        preferred = {c.key for c in credits_ if account_key(c.key) in held}
        self.allocation = preview(
            replace(self.basket, credits=credits_), self.ledger, journal.now, preferred, self.kept
        )
        self._uses = [
            [
                write_use(
                    journal,
                    account_key(part.credit),
                    part.taken,
                    source.source,
                    self.basket.owner.id,
                    self.context,
                    self.description,
                )
                for part in source.parts
            ]
            for source in self.allocation.sources
        ]
        return [use for of_source in self._uses for use in of_source]

    def link_documents(self, document_ids: Sequence[int]) -> None:
        """Links the uses for each source to the id of its document."""
        self.document_ids = document_ids
        for document_id, of_source in zip(document_ids, self._uses, strict=True):
            for use in of_source:
                use.link_decision(document_id)

    @property
    def decision(self) -> Decision:
        """What was decided. Call it after `decide` and `link_documents`."""
        assert self.allocation is not None
        return Decision(self.allocation, self.basket, self.context, self.operation, self.document_ids)


def write_use(
    journal: JournalTransaction,
    account: AccountKey,
    amount: Amount,
    source: SourceKey,
    customer_id: int | None,
    context: RequestContext,
    description: str = "",
) -> PendingEntry:
    """One use of one credit for one source of a customer, with its history row."""
    metadata = EntryMetadata(
        context.principal.email,
        SOURCE_CAUSES[source.kind.value],
        description,
        source.kind.value,
        source.id,
        context.idempotency_key,
        customer_id=customer_id,
    )
    row = _history_row(account, source, description)
    return journal.append(account, EntryType.USE, amount, metadata, row)


def _history_row(account: AccountKey, source: SourceKey, description: str) -> dict[str, object]:
    """A money use names its source and has a description; a time use names only bookings."""
    column = HISTORY_REFERENCES.get(source.kind)
    reference: dict[str, object] = {column: source.id} if column else {}
    if account[0] is AccountType.MONEY:
        return {**reference, "Description": description or str(source)}
    return reference if source.kind is SourceKind.BOOKING else {}


def write_releases(
    journal: JournalTransaction,
    holds: Iterable[HoldRow],
    context: RequestContext,
    cause: Cause,
    reason: str = "",
) -> None:
    """Writes the release of each hold (rule 26); one that ended, as of when it did."""
    for hold in holds:
        if hold.has_ended(journal.now):
            journal.release_ended(hold.account)
            continue
        metadata = EntryMetadata(
            context.principal.email,
            cause,
            reason,
            hold.source_kind.value,
            hold.source_id,
            context.idempotency_key,
        )
        pending = journal.append(hold.account, EntryType.RELEASE, hold.held_amount, metadata)
        pending.link_decision(hold.allocation_id)


def attempt(
    journal: JournalTransaction,
    decide: Callable[[JournalTransaction], Sequence[PendingEntry]],
) -> Sequence[PendingEntry] | DomainError:
    """The entries that a decision writes, or its error, which leaves no trace in the journal."""
    savepoint = journal.savepoint()
    try:
        return decide(journal)
    except DomainError as error:
        journal.rollback_to(savepoint)
        return error


@dataclass(frozen=True, slots=True)
class StoredAllocation:
    """The group under which an allocation's documents are stored, and all of it as one document."""

    allocation_group: int
    document: dict[str, object]


@dataclass(frozen=True, slots=True)
class SpendResult:
    """What a spend decided, and how that is stored."""

    allocation: Allocation
    stored: StoredAllocation


async def execute_spends(
    session: WriteSession, plans: Sequence[SpendPlan], ledger: LedgerContext
) -> list[SpendResult | DomainError]:
    """Executes plans in their order and returns a result or an error for each.

    Their baskets have no conflict key in common: all were loaded before the first is decided.
    """
    accounts = {account for plan in plans for account in plan.accounts}
    journal = await lock_accounts(session, accounts, ledger.clock)
    outcomes = [attempt(journal, plan.decide) for plan in plans]
    executed = [plan for plan, outcome in zip(plans, outcomes, strict=True) if not isinstance(outcome, DomainError)]
    await link_documents(session, executed)
    await journal.flush(session)
    results = iter(await store_spends(session, executed))
    return [outcome if isinstance(outcome, DomainError) else next(results) for outcome in outcomes]


async def link_documents(session: WriteSession, decided: Sequence[SpendPlan]) -> None:
    """Links the uses of decided plans to the documents that will explain them, before the flush."""
    counts = [len(plan.allocation.sources) if plan.allocation else 0 for plan in decided]
    ids = iter(await next_document_ids(session, sum(counts)))
    for plan, count in zip(decided, counts, strict=True):
        plan.link_documents([next(ids) for _ in range(count)])


async def next_document_ids(session: WriteSession, count: int) -> Sequence[int]:
    """Ids for this many documents of decisions."""
    if not count:
        return ()
    [ids] = (await session.next_ids({AllocationDocument: count})).values()
    return ids


async def store_spends(session: WriteSession, executed: Sequence[SpendPlan]) -> list[SpendResult]:
    """Stores the allocations of executed plans and marks the holds that became uses."""
    decisions = [plan.decision for plan in executed]
    settled = [hold.id for plan in executed for hold in plan.holds]
    stored = await store_decisions(session, decisions, settled)
    return [SpendResult(decision.allocation, each) for decision, each in zip(decisions, stored, strict=True)]


async def store_decisions(
    session: WriteSession,
    decisions: Sequence[Decision],
    settled_hold_ids: Sequence[int] = (),
) -> list[StoredAllocation]:
    """Stores decisions, one document for each source, in one statement (rule 19).

    The settled holds became uses by them.
    """
    if not decisions:
        return []
    records: list[Record] = []
    stored = []
    for decision in decisions:
        document = decision.allocation.to_document()
        stored.append(StoredAllocation(decision.document_ids[0], document))
        records += _document_records(decision, document)
    confirmed = [(hold_id, {"State": HoldState.CONFIRMED.value}) for hold_id in settled_hold_ids]
    holds = [Update(Hold, confirmed)] if confirmed else []
    await session.write([Insert(AllocationDocument, records), *holds])
    return stored


def _document_records(decision: Decision, document: Mapping[str, object]) -> list[Record]:
    """One record for each source: its part of the document under the fields common to all."""
    allocation, ids = decision.allocation, decision.document_ids
    locations = {source.key: source.business_id for source in decision.basket.sources}
    common = dict(document)
    parts = common.pop("sources")
    assert isinstance(parts, list)
    return [
        new_record(
            AllocationDocument,
            {
                "Id": document_id,
                "BusinessId": locations[source.source],
                "CoworkerId": allocation.customer_id,
                "Group": ids[0],
                "Operation": decision.operation.value,
                "SourceKind": source.source.kind.value,
                "SourceId": source.source.id,
                "Credits": "".join(f"{seen.credit};" for seen in source.considered),
                "Document": {**common, **part},
            },
            decision.context.now,
            decision.context.principal.email,
        )
        for document_id, source, part in zip(ids, allocation.sources, parts, strict=True)
    ]


def without_held(
    basket: Basket,
    items: Sequence[ItemRequest],
    holds: Mapping[SourceKey, Sequence[HoldRow]],
    now: datetime,
) -> Basket:
    """The basket less what is held for its sources, except where an amount was requested."""
    standing = {source: [hold for hold in held if not hold.has_ended(now)] for source, held in holds.items()}
    return replace(
        basket,
        sources=tuple(
            structs.replace(source, price=source.price_less(sum(h.covered for h in held)))
            if (held := standing.get(source.key)) and item.amount is None
            else source
            for source, item in zip(basket.sources, items, strict=True)
        ),
    )
