"""Spends, in batches: those that wait at the same moment travel in one transaction (rule 31).

`spend_batch` is the only way by which credit is drawn; a single spend is a batch of one. Locks
are taken for all, each request is decided in order of arrival over the locked values, and
everything goes on record in a constant number of statements. A refusal is an outcome like any
other, so it never undoes a neighbour. This module must not know what a request is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from creditdesk.ledger.batching import DEFERRED, MAX_BATCH_SIZE, BatchQueue, Deferred
from creditdesk.ledger.idempotency import (
    SavedResponse,
    ScopedKey,
    find_responses,
    save_responses,
    scoped_key,
)
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, MAPPINGS_BY_HISTORY, AccountKey
from creditdesk.ledger.journal.transaction import (
    Clock,
    JournalTransaction,
    PendingEntry,
    lock_accounts,
)
from creditdesk.ledger.loaders.use_references import UseReferences, load_use_references
from creditdesk.ledger.operations.use_posting import post_use
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, DomainError, IdempotencyKeyReused
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.schema.service import RequestContext
from creditdesk.settings import LedgerSettings

ResponseRenderer = Callable[[Record], bytes]
"""Makes the wire answer from the whole history record, inside the transaction."""


@dataclass(frozen=True, slots=True)
class SpendRequest:
    """One spend: the credits it may draw on, and how it decides over them once they are locked.

    `decide` writes into the book or raises a refusal; `use` is the posted record whose facts it
    needs. With `render` the answer is made from the first history row and, where the call has a
    key, kept under `fingerprint` (rule 32).
    """

    context: RequestContext
    accounts: tuple[AccountKey, ...]
    decide: Callable[[JournalTransaction, UseReferences], Sequence[PendingEntry]]
    posted_use: Record = field(default_factory=dict)
    fingerprint: str = ""
    render: ResponseRenderer | None = None


@dataclass(frozen=True, slots=True)
class SpendOutcome:
    """What became of one request: what was written, the answer to give, a refusal, or nothing yet as
    it was put off.
    """

    entries: tuple[PendingEntry, ...] = ()
    response: SavedResponse | None = None
    error: DomainError | None = None
    replayed: bool = False
    deferred: bool = False


def use_request(
    entity: type[Entity],
    record: Record,
    context: RequestContext,
    settings: LedgerSettings,
    fingerprint: str = "",
    render: ResponseRenderer | None = None,
) -> SpendRequest:
    """The request that a POST on one of the two use histories makes (rules 7 to 10)."""
    side = MAPPINGS_BY_HISTORY[entity]
    account = (side.account_type, record[side.credit_reference] or 0)
    return SpendRequest(
        context,
        (account,),
        lambda book, facts: [post_use(book, facts, side, record, context, settings)],
        record,
        fingerprint,
        render,
    )


async def spend_batch(
    session: WriteSession,
    requests: Sequence[SpendRequest],
    clock: Clock,
    must_wait: int | None = None,
) -> list[SpendOutcome]:
    """Carries out the requests in their order and gives one outcome for each, in that order.

    All but the first `urgent` are put off where another unit holds a credit of theirs; without a
    number none is. Raises what the store raises; a refusal of one request is never raised but given.
    """
    must_wait = len(requests) if must_wait is None else must_wait
    required_accounts = [
        account for request in requests[:must_wait] for account in request.accounts
    ]
    optional_accounts = [
        account for request in requests[must_wait:] for account in request.accounts
    ]
    journal = await lock_accounts(session, required_accounts, clock, skip_locked=optional_accounts)
    earlier = await find_responses(
        session, [(r.context, r.fingerprint) for r in requests if r.render is not None]
    )
    facts = await _load_facts(session, requests, journal)
    taken: set[ScopedKey] = set()
    outcomes = [
        SpendOutcome(deferred=True)
        if place >= must_wait and not journal.accounts.keys() >= set(request.accounts)
        else _decide(request, journal, facts, earlier, taken)
        for place, request in enumerate(requests)
    ]
    to_respond = {
        MAPPINGS[outcome.entries[0].entry.credit_kind].history_entity
        for request, outcome in zip(requests, outcomes, strict=True)
        if request.render is not None and outcome.entries
    }
    # The rows of one history come back with the writing itself; a mixed batch asks for the others.
    first = min(to_respond, key=lambda history: history.__name__, default=None)
    rows = {first: await journal.flush(session, first)}
    for history in to_respond - {first}:
        rows[history] = await session.get_many(history, journal.history_ids(history))
    return await _with_responses(session, requests, outcomes, rows)


def _decide(
    request: SpendRequest,
    journal: JournalTransaction,
    facts: UseReferences,
    earlier: dict[ScopedKey, SavedResponse | IdempotencyKeyReused],
    taken: set[ScopedKey],
) -> SpendOutcome:
    """One step of the fold."""
    key = scoped_key(request.context) if request.render is not None else None
    if key is not None:
        match earlier.get(key):
            case SavedResponse() as answer:
                return SpendOutcome(response=answer, replayed=True)
            case IdempotencyKeyReused() as reused:
                return SpendOutcome(error=reused)
        if key in taken:
            return SpendOutcome(error=Conflict("A call with this idempotency key is in flight."))
    mark = journal.savepoint()
    try:
        written = tuple(request.decide(journal, facts))
    except DomainError as refusal:
        # A refused call leaves nothing behind and does not burn its key.
        journal.rollback_to(mark)
        return SpendOutcome(error=refusal)
    if key is not None:
        taken.add(key)
    return SpendOutcome(written)


async def _load_facts(
    session: WriteSession, requests: Sequence[SpendRequest], journal: JournalTransaction
) -> UseReferences:
    uses = [request.posted_use for request in requests if request.posted_use]
    if not uses:
        return UseReferences()
    rates = [
        credit.stored.rate_id
        for credit in journal.accounts.values()
        if credit.mapping.account_type is AccountType.TIME
    ]
    return await load_use_references(session, uses, rates)


async def _with_responses(
    session: WriteSession,
    requests: Sequence[SpendRequest],
    outcomes: Sequence[SpendOutcome],
    rows: Mapping[type[Entity] | None, Mapping[int, Record]],
) -> list[SpendOutcome]:
    """The outcomes with their wire answers, which are kept where the call has a key."""
    answered: list[SpendOutcome] = []
    keep: list[tuple[RequestContext, str, SavedResponse]] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if request.render is None or not outcome.entries:
            answered.append(outcome)
            continue
        answer = SavedResponse(200, request.render(_response_record(outcome.entries[0], rows)))
        keep.append((request.context, request.fingerprint, answer))
        answered.append(SpendOutcome(outcome.entries, answer))
    await save_responses(session, keep)
    return answered


def _response_record(
    entry: PendingEntry, rows: Mapping[type[Entity] | None, Mapping[int, Record]]
) -> Record:
    """The row as its own POST shows it: money as it remained before the use (rule 7)."""
    line = entry.entry
    side = MAPPINGS[line.credit_kind]
    row = rows[side.history_entity][line.history_id or 0]
    if line.credit_kind is AccountType.MONEY:
        remained = line.balance_after - line.balance_change
        return {**row, "CoworkerBookingCreditRemainingCredit": remained}
    return {**row, "CoworkerExtraServiceRemainingUses": line.balance_after}


class SpendQueue:
    """Carries out spends, those that wait at the same moment in one transaction."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: LedgerSettings | None = None,
        max_batch_size: int = MAX_BATCH_SIZE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings or LedgerSettings()
        self._queue = BatchQueue(self._open_session, self._execute, max_batch_size)

    def _open_session(self) -> AbstractAsyncContextManager[WriteSession]:
        return self._store.write_session()

    async def post(
        self,
        entity: type[Entity],
        record: Record,
        context: RequestContext,
        fingerprint: str,
        render: ResponseRenderer,
    ) -> SavedResponse:
        """Posts one use and gives the status and the bytes to answer with (rules 7 to 10, 32).

        The same key and fingerprint give the first answer again, byte for byte. Raises refusals:
        Invalid, KeyReused, or Conflict when a call with the same key is in the same batch.
        """
        request = use_request(entity, record, context, self._settings, fingerprint, render)
        outcome = await self.spend(request)
        assert outcome.response is not None
        return outcome.response

    async def spend(self, request: SpendRequest) -> SpendOutcome:
        """Carries out one request with whatever else is waiting. Raises its refusal."""
        repeatable = request.render is not None and request.context.idempotency_key is not None
        return await self._queue.submit(request, idempotent=repeatable)

    async def _execute(
        self, session: WriteSession, requests: Sequence[SpendRequest], must_wait: int
    ) -> list[SpendOutcome | DomainError | Deferred]:
        return [
            DEFERRED if outcome.deferred else outcome.error or outcome
            for outcome in await spend_batch(session, requests, self._clock, must_wait)
        ]
