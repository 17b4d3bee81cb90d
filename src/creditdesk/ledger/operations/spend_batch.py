"""A batch of spends in one transaction: posted uses and baskets (rules 7 to 10, 12 to 22, 31, 32).

Items, holds and caps of baskets are locked first, then all accounts, each in one order. Requests
are decided in order of arrival over the locked balances. Journal entries, balances, allocations
and stored responses are written in a constant number of statements. An error is an outcome: it
leaves no trace and does not affect the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from creditdesk.ledger.batching import DEFERRED, Deferred
from creditdesk.ledger.idempotency import (
    SavedResponse,
    ScopedKey,
    find_responses,
    save_responses,
    scoped_key,
)
from creditdesk.ledger.journal.accounts import PendingEntry
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, CreditTypeMapping
from creditdesk.ledger.journal.transaction import JournalTransaction, LedgerContext
from creditdesk.ledger.loaders.dataloader import gather_loads
from creditdesk.ledger.loaders.holds import find_holds, lock_holds
from creditdesk.ledger.loaders.items import BasketRequest, lock_items
from creditdesk.ledger.loaders.use_references import UseReferences, load_use_references
from creditdesk.ledger.loaders.uses import PostedUse
from creditdesk.ledger.operations.baskets import load_baskets_for_update
from creditdesk.ledger.operations.draw import SpendPlan, SpendResult, attempt, link_documents, store_spends
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.operations.use_posting import post_use
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, DomainError, IdempotencyKeyReused
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.telemetry.metrics import CREDITS_CONSIDERED

_NO_KEY: Final[ScopedKey] = (0, "")
_OK: Final = 200

Response = SavedResponse | DomainError | Deferred
Rows = Mapping[type[Entity], Mapping[int, Record]]
"""History rows by history and id."""


class UseSpend(Struct, frozen=True):
    """A use posted to one of the two use histories.

    `render` makes the response from the whole history row, inside the transaction.
    """

    mapping: CreditTypeMapping
    use: PostedUse
    context: RequestContext
    fingerprint: str
    render: Callable[[Record], bytes]

    @property
    def account(self) -> AccountKey:
        return (self.mapping.account_type, self.use.credit_id or 0)


class BasketSpend(Struct, frozen=True):
    """A spend on a basket. `render` makes the response, inside the transaction."""

    request: BasketRequest
    fingerprint: str
    render: Callable[[SpendResult], bytes]

    @property
    def context(self) -> RequestContext:
        return self.request.context


Spend = UseSpend | BasketSpend


class _Step(Struct):
    """A spend on its way through the batch; it has ended when it has a response."""

    spend: Spend
    may_defer: bool
    plan: SpendPlan | None = None
    entries: Sequence[PendingEntry] = ()
    response: Response | None = None

    @property
    def key(self) -> ScopedKey | None:
        return scoped_key(self.spend.context)


async def execute_batch(
    session: WriteSession, spends: Sequence[Spend], must_wait: int, ledger: LedgerContext
) -> list[Response]:
    """Executes spends in their order; returns a response, an error or DEFERRED for each.

    Baskets of one batch have no conflict key in common. All but the first `must_wait` spends are
    deferred where another session has locked an item or an account of theirs. A request that was
    answered before gets the same bytes again.
    """
    steps = [_Step(spend, position >= must_wait) for position, spend in enumerate(spends)]
    await _plan_baskets(session, steps, ledger)
    journal = await _lock_accounts(session, steps, ledger)
    await _decide(session, steps, journal, ledger)
    rows = await _flush(session, steps, journal)
    await _respond(session, steps, rows)
    session.after_commit(partial(_count_considered, steps))
    return [_response_of(step) for step in steps]


def _response_of(step: _Step) -> Response:
    assert step.response is not None
    return step.response


async def _plan_baskets(session: WriteSession, steps: Sequence[_Step], ledger: LedgerContext) -> None:
    """Locks the items, holds and caps of baskets and sets their plans, or how they ended."""
    baskets = [(step, step.spend) for step in steps if isinstance(step.spend, BasketSpend)]
    if not baskets:
        return
    required = [item for step, s in baskets if not step.may_defer for item in s.request.items]
    optional = [item for step, s in baskets if step.may_defer for item in s.request.items]
    missed = await lock_items(session, required, skip_locked=optional)
    for step, spend in baskets:
        if step.may_defer and any(item.key in missed for item in spend.request.items):
            step.response = DEFERRED
    baskets = [(step, spend) for step, spend in baskets if step.response is None]
    keys = {item.key for _, spend in baskets for item in spend.request.items}
    # After the locks: a request that waited for one finds the response of an equal request.
    earlier, found = await gather_loads(
        session,
        lambda finder: find_responses(finder, [(s.context, s.fingerprint) for _, s in baskets]),
        lambda finder: find_holds(finder, keys),
    )
    holds = await lock_holds(session, keys, found)
    loaded = await load_baskets_for_update(session, [spend.request for _, spend in baskets])
    for (step, spend), basket in zip(baskets, loaded, strict=True):
        step.response = earlier.get(step.key or _NO_KEY)
        if step.response is not None:
            continue
        if isinstance(basket, DomainError):
            step.response = basket
        else:
            own_keys = dict.fromkeys(source.key for source in basket.sources)
            settled = [hold for key in own_keys for hold in holds[key]]
            step.plan = SpendPlan(basket, spend.context, ledger, settled)


async def _lock_accounts(session: WriteSession, steps: Sequence[_Step], ledger: LedgerContext) -> JournalTransaction:
    """Locks the accounts of all spends; those of posted uses that may be deferred only if free."""
    required = {account for step in steps if step.plan for account in step.plan.accounts}
    optional: set[AccountKey] = set()
    for step in steps:
        if isinstance(step.spend, UseSpend):
            (optional if step.may_defer else required).add(step.spend.account)
    return await lock_accounts(session, required, ledger.clock, skip_locked=optional - required)


async def _decide(
    session: WriteSession,
    steps: Sequence[_Step],
    journal: JournalTransaction,
    ledger: LedgerContext,
) -> None:
    """Decides each spend that has not ended, in order, and sets its entries or its error."""
    uses = [step.spend for step in steps if isinstance(step.spend, UseSpend)]
    earlier, references = await _load_use_context(session, uses, journal)
    used_keys: set[ScopedKey] = set()
    for step in steps:
        spend = step.spend
        if isinstance(spend, UseSpend):
            if step.may_defer and spend.account not in journal.accounts:
                step.response = DEFERRED
            else:
                step.response = earlier.get(step.key or _NO_KEY)
        if step.response is not None:
            continue
        if step.key in used_keys:
            step.response = Conflict("A call with this idempotency key is in flight.")
            continue
        outcome = _decide_one(journal, step, references, ledger)
        if isinstance(outcome, DomainError):
            # A failed request leaves nothing behind, so its key may be used again.
            step.response = outcome
            continue
        step.entries = outcome
        if step.key is not None:
            used_keys.add(step.key)


def _decide_one(
    journal: JournalTransaction, step: _Step, references: UseReferences, ledger: LedgerContext
) -> Sequence[PendingEntry] | DomainError:
    """The entries of one spend, or its error, which leaves no trace in the journal."""
    spend = step.spend
    if isinstance(spend, BasketSpend):
        assert step.plan is not None
        return attempt(journal, step.plan.decide)
    try:
        return [post_use(journal, references, spend.mapping, spend.use, spend.context, ledger.settings)]
    except DomainError as error:
        # It is raised before anything is written, so no savepoint is needed.
        return error


async def _load_use_context(
    session: WriteSession, uses: Sequence[UseSpend], journal: JournalTransaction
) -> tuple[Mapping[ScopedKey, SavedResponse | IdempotencyKeyReused], UseReferences]:
    """What posted uses were answered before, and what they refer to; read under the locks."""
    if not uses:
        return {}, UseReferences()
    named = {key for spend in uses for key in spend.use.named}
    rate_ids = _rate_ids({spend.account for spend in uses}, journal)
    return await gather_loads(
        session,
        lambda finder: find_responses(finder, [(s.context, s.fingerprint) for s in uses]),
        lambda finder: load_use_references(finder, named, rate_ids),
    )


def _rate_ids(accounts: Collection[AccountKey], journal: JournalTransaction) -> set[int | None]:
    return {
        journal.accounts[account].stored.rate_id
        for account in accounts
        if account[0] is AccountType.TIME and account in journal.accounts
    }


async def _flush(session: WriteSession, steps: Sequence[_Step], journal: JournalTransaction) -> Rows:
    """Writes the journal and returns the new history rows of posted uses."""
    histories = {
        step.spend.mapping.history_entity for step in steps if isinstance(step.spend, UseSpend) and step.entries
    }
    await link_documents(session, [step.plan for step in steps if step.plan is not None and step.response is None])
    # The rows of one history come back with the write; a mixed batch reads the others.
    first = min(histories, key=lambda history: history.__name__, default=None)
    returned = await journal.flush(session, first)
    rows: dict[type[Entity], Mapping[int, Record]] = {first: returned} if first else {}
    for history in histories - {first}:
        rows[history] = await session.get_many(history, journal.history_ids(history))
    return rows


async def _respond(session: WriteSession, steps: Sequence[_Step], rows: Rows) -> None:
    """Stores allocations, renders the responses and stores those of requests with a key."""
    executed = [step.plan for step in steps if step.plan is not None and step.response is None]
    results = iter(await store_spends(session, executed))
    fresh: list[tuple[RequestContext, str, SavedResponse]] = []
    for step in steps:
        if step.response is not None:
            continue
        spend = step.spend
        body = (
            spend.render(next(results))
            if isinstance(spend, BasketSpend)
            else spend.render(_response_record(step.entries[0], rows))
        )
        response = SavedResponse(_OK, body)
        step.response = response
        fresh.append((spend.context, spend.fingerprint, response))
    await save_responses(session, fresh)


def _response_record(pending: PendingEntry, rows: Rows) -> Record:
    """The row as its own POST shows it: money as it remained before the use (rule 7)."""
    entry = pending.entry
    row = rows[MAPPINGS[entry.credit_kind].history_entity][entry.history_id or 0]
    if entry.credit_kind is AccountType.MONEY:
        remained = entry.balance_after - entry.balance_change
        return {**row, "CoworkerBookingCreditRemainingCredit": remained}
    return {**row, "CoworkerExtraServiceRemainingUses": entry.balance_after}


def _count_considered(steps: Sequence[_Step]) -> None:
    for step in steps:
        if step.plan is not None and step.plan.allocation is not None and step.entries:
            for source in step.plan.allocation.sources:
                for seen in source.considered:
                    CREDITS_CONSIDERED.count(seen.reason.value)
