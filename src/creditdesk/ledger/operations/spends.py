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

from creditdesk.ledger.batching import MOST_TOGETHER, PUT_OFF, PutOff, Together
from creditdesk.ledger.idempotency import (
    Answer,
    KeyId,
    earlier_answers,
    key_id,
    store_answers,
)
from creditdesk.ledger.journal.context import Facts, read_facts
from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.ledger.journal.mapping import BY_HISTORY, SIDES, Account
from creditdesk.ledger.journal.transaction import Book, Clock, Written, open_book
from creditdesk.ledger.operations.use_posting import post_use
from creditdesk.ledger.rules.credit import LedgerPolicy
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, KeyReused, Refusal
from creditdesk.schema.repository import Store, Unit
from creditdesk.schema.service import Call

Render = Callable[[Record], bytes]
"""Makes the wire answer from the whole history record, inside the transaction."""


@dataclass(frozen=True, slots=True)
class SpendRequest:
    """One spend: the credits it may draw on, and how it decides over them once they are locked.

    `decide` writes into the book or raises a refusal; `use` is the posted record whose facts it
    needs. With `render` the answer is made from the first history row and, where the call has a
    key, kept under `fingerprint` (rule 32).
    """

    call: Call
    accounts: tuple[Account, ...]
    decide: Callable[[Book, Facts], Sequence[Written]]
    use: Record = field(default_factory=dict)
    fingerprint: str = ""
    render: Render | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: what was written, the answer to give, a refusal, or nothing yet as
    it was put off.
    """

    written: tuple[Written, ...] = ()
    answer: Answer | None = None
    refusal: Refusal | None = None
    replayed: bool = False
    put_off: bool = False


def posted(
    entity: type[Entity],
    record: Record,
    call: Call,
    policy: LedgerPolicy,
    fingerprint: str = "",
    render: Render | None = None,
) -> SpendRequest:
    """The request that a POST on one of the two use histories makes (rules 7 to 10)."""
    side = BY_HISTORY[entity]
    account = (side.kind, record[side.reference] or 0)
    return SpendRequest(
        call,
        (account,),
        lambda book, facts: [post_use(book, facts, side, record, call, policy)],
        record,
        fingerprint,
        render,
    )


async def spend_batch(
    unit: Unit, requests: Sequence[SpendRequest], clock: Clock, urgent: int | None = None
) -> list[Outcome]:
    """Carries out the requests in their order and gives one outcome for each, in that order.

    All but the first `urgent` are put off where another unit holds a credit of theirs; without a
    number none is. Raises what the store raises; a refusal of one request is never raised but given.
    """
    urgent = len(requests) if urgent is None else urgent
    needed = [account for request in requests[:urgent] for account in request.accounts]
    wished = [account for request in requests[urgent:] for account in request.accounts]
    book = await open_book(unit, needed, clock, if_free=wished)
    earlier = await earlier_answers(
        unit, [(r.call, r.fingerprint) for r in requests if r.render is not None]
    )
    facts = await _facts(unit, requests, book)
    taken: set[KeyId] = set()
    outcomes = [
        Outcome(put_off=True)
        if place >= urgent and not book.credits.keys() >= set(request.accounts)
        else _decided(request, book, facts, earlier, taken)
        for place, request in enumerate(requests)
    ]
    to_answer = {
        SIDES[outcome.written[0].line.credit_kind].history
        for request, outcome in zip(requests, outcomes, strict=True)
        if request.render is not None and outcome.written
    }
    # The rows of one history come back with the writing itself; a mixed batch asks for the others.
    first = min(to_answer, key=lambda history: history.__name__, default=None)
    rows = {first: await book.put_on_record(unit, first)}
    for history in to_answer - {first}:
        rows[history] = await unit.many(history, book.history_ids(history))
    return await _answered(unit, requests, outcomes, rows)


def _decided(
    request: SpendRequest,
    book: Book,
    facts: Facts,
    earlier: dict[KeyId, Answer | KeyReused],
    taken: set[KeyId],
) -> Outcome:
    """One step of the fold."""
    key = key_id(request.call) if request.render is not None else None
    if key is not None:
        match earlier.get(key):
            case Answer() as answer:
                return Outcome(answer=answer, replayed=True)
            case KeyReused() as reused:
                return Outcome(refusal=reused)
        if key in taken:
            return Outcome(refusal=Conflict("A call with this idempotency key is in flight."))
    mark = book.mark()
    try:
        written = tuple(request.decide(book, facts))
    except Refusal as refusal:
        # A refused call leaves nothing behind and does not burn its key.
        book.back_to(mark)
        return Outcome(refusal=refusal)
    if key is not None:
        taken.add(key)
    return Outcome(written)


async def _facts(unit: Unit, requests: Sequence[SpendRequest], book: Book) -> Facts:
    uses = [request.use for request in requests if request.use]
    if not uses:
        return Facts()
    rates = [
        credit.record["ExtraServiceId"]
        for credit in book.credits.values()
        if credit.side.kind is CreditKind.TIME
    ]
    return await read_facts(unit, uses, rates)


async def _answered(
    unit: Unit,
    requests: Sequence[SpendRequest],
    outcomes: Sequence[Outcome],
    rows: Mapping[type[Entity] | None, Mapping[int, Record]],
) -> list[Outcome]:
    """The outcomes with their wire answers, which are kept where the call has a key."""
    answered: list[Outcome] = []
    keep: list[tuple[Call, str, Answer]] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if request.render is None or not outcome.written:
            answered.append(outcome)
            continue
        answer = Answer(200, request.render(_as_answered(outcome.written[0], rows)))
        keep.append((request.call, request.fingerprint, answer))
        answered.append(Outcome(outcome.written, answer))
    await store_answers(unit, keep)
    return answered


def _as_answered(
    written: Written, rows: Mapping[type[Entity] | None, Mapping[int, Record]]
) -> Record:
    """The row as its own POST shows it: money as it remained before the use (rule 7)."""
    line = written.line
    side = SIDES[line.credit_kind]
    row = rows[side.history][line.history_id or 0]
    if line.credit_kind is CreditKind.MONEY:
        remained = line.balance_after - line.balance_change
        return {**row, "CoworkerBookingCreditRemainingCredit": remained}
    return {**row, "CoworkerExtraServiceRemainingUses": line.balance_after}


class Spends:
    """Carries out spends, those that wait at the same moment in one transaction."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policy: LedgerPolicy | None = None,
        most_together: int = MOST_TOGETHER,
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy or LedgerPolicy()
        self._together = Together(self._opened, self._carry_out, most_together)

    def _opened(self) -> AbstractAsyncContextManager[Unit]:
        return self._store.writing()

    async def post(
        self,
        entity: type[Entity],
        record: Record,
        call: Call,
        fingerprint: str,
        render: Render,
    ) -> tuple[int, bytes]:
        """Posts one use and gives the status and the bytes to answer with (rules 7 to 10, 32).

        The same key and fingerprint give the first answer again, byte for byte. Raises refusals:
        Invalid, KeyReused, or Conflict when a call with the same key is in the same batch.
        """
        request = posted(entity, record, call, self._policy, fingerprint, render)
        outcome = await self.spend(request)
        assert outcome.answer is not None
        return outcome.answer.status, outcome.answer.body

    async def spend(self, request: SpendRequest) -> Outcome:
        """Carries out one request with whatever else is waiting. Raises its refusal."""
        repeatable = request.render is not None and request.call.key is not None
        return await self._together.ask(request, repeatable=repeatable)

    async def _carry_out(
        self, unit: Unit, requests: Sequence[SpendRequest], urgent: int
    ) -> list[Outcome | Refusal | PutOff]:
        return [
            PUT_OFF if outcome.put_off else outcome.refusal or outcome
            for outcome in await spend_batch(unit, requests, self._clock, urgent)
        ]
