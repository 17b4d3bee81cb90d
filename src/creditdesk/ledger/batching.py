"""Asks that wait at the same moment are carried out together, in one unit of work (rule 31).

While a batch is under way the next one gathers. Each ask is answered for itself. One that would
wait for another unit holds up its whole batch, so it may be put off, once, to the next. This module
must not know what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, TypeVar

from creditdesk.schema.errors import Conflict, DomainError

MAX_BATCH_SIZE: Final = 64
"""How many asks share a unit at most."""
GATHER_DELAY_DIVISOR: Final = 2
MAX_GATHER_DELAY: Final = timedelta(milliseconds=10)
"""A batch waits for all who are about, answered or waiting as the last one ended: half of the time
that one took, and never longer than this."""


class Deferred(Enum):
    """What is said in place of an answer."""

    DEFERRED = "put off"


DEFERRED: Final = Deferred.DEFERRED
"""Another unit holds what the ask needs; nothing was done, and the next batch will wait for it."""

Work = TypeVar("Work")
Ask = TypeVar("Ask")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class _Pending(Generic[Ask, Given]):
    request: Ask
    conflict_keys: frozenset[Hashable]
    idempotent: bool
    future: asyncio.Future[Given]
    was_deferred: bool = False

    def resolve(self, outcome: Given | Exception) -> None:
        # Who asked may have gone meanwhile.
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class BatchQueue(Generic[Work, Ask, Given]):
    """Gathers asks and has each batch carried out in a unit that `opened` gives.

    `carry_out` answers the asks of a batch in their order, with a value or a refusal each. It may
    put off all but the first few, whose number it is told: these waited for the last batch in vain.
    """

    def __init__(
        self,
        open_session: Callable[[], AbstractAsyncContextManager[Work]],
        execute: Callable[
            [Work, Sequence[Ask], int], Awaitable[Sequence[Given | DomainError | Deferred]]
        ],
        max_batch_size: int = MAX_BATCH_SIZE,
    ) -> None:
        self._open_session = open_session
        self._execute = execute
        self._max_batch_size = max_batch_size
        self._queue: list[_Pending[Ask, Given]] = []
        self._task: asyncio.Task[None] | None = None
        self._expected = 1
        self._gather_delay = timedelta()
        self._batch_ready = asyncio.Event()

    async def submit(
        self,
        request: Ask,
        *,
        conflict_keys: frozenset[Hashable] = frozenset(),
        idempotent: bool = False,
    ) -> Given:
        """The answer to one ask, carried out with whatever else is waiting. Raises its refusal.

        No batch has two asks with anything in `apart` in common; the later one waits for the next.
        `repeatable` says that asking again has no second effect, as with a key (rule 32).
        """
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(request, conflict_keys, idempotent, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if len(self._queue) >= self._expected:
            self._batch_ready.set()
        # Who asked may go away; what is under way is carried out all the same.
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            # Everyone who asks in this turn of the loop is on board before the first batch leaves.
            await asyncio.sleep(0)
            while self._queue:
                await self._wait_for_more()
                batch = self._take_batch()
                loop = asyncio.get_running_loop()
                began = loop.time()
                deferred = await self._execute_batch(batch)
                lasted = timedelta(seconds=loop.time() - began)
                self._expected = min(len(batch) + len(self._queue), self._max_batch_size)
                self._queue[:0] = deferred
                self._gather_delay = min(lasted / GATHER_DELAY_DIVISOR, MAX_GATHER_DELAY)
        finally:
            self._task = None

    async def _wait_for_more(self) -> None:
        """Gives those who were answered the time to come back, and so to share one unit with those
        who could not be part of the last.

        What a unit costs beside its asks is as much as a dozen of them, so few large ones serve
        everyone sooner than many small ones, even where those could overlap.
        """
        if len(self._queue) < self._expected:
            self._batch_ready.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._gather_delay.total_seconds()):
                    await self._batch_ready.wait()

    def _take_batch(self) -> list[_Pending[Ask, Given]]:
        """The next batch; who cannot be part of it keeps the place in the row."""
        batch, later = list[_Pending[Ask, Given]](), list[_Pending[Ask, Given]]()
        taken_keys: set[Hashable] = set()
        for pending in self._queue:
            if len(batch) == self._max_batch_size or pending.conflict_keys & taken_keys:
                later.append(pending)
            else:
                batch.append(pending)
                taken_keys |= pending.conflict_keys
        self._queue = later
        return batch

    async def _execute_batch(
        self, batch: Sequence[_Pending[Ask, Given]]
    ) -> list[_Pending[Ask, Given]]:
        """Says to each what became of its ask; gives those that were put off."""
        # One that is alone holds up nobody.
        must_wait = 1 if len(batch) == 1 else sum(pending.was_deferred for pending in batch)
        results: Sequence[Given | DomainError | Deferred] = ()
        try:
            async with self._open_session() as session:
                results = await self._execute(
                    session, [waiting.request for waiting in batch], must_wait
                )
        except Exception as error:
            # A passing fault, such as a lost race: each is tried once more, on its own. Where the
            # news of a commit was lost it may have happened, so only those are tried for whom
            # nothing was done or who may ask again.
            lost = bool(results) and not isinstance(error, Conflict)
            for place, waiting in enumerate(batch):
                if lost and not (waiting.idempotent or isinstance(results[place], Deferred)):
                    waiting.resolve(error)
                else:
                    await self._execute_alone(waiting)
            return []
        deferred: list[_Pending[Ask, Given]] = []
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(result, Deferred):
                deferred.append(replace(waiting, was_deferred=True))
            else:
                waiting.resolve(result)
        return deferred

    async def _execute_alone(self, pending: _Pending[Ask, Given]) -> None:
        try:
            async with self._open_session() as session:
                (result,) = await self._execute(session, [pending.request], 1)
        except Exception as error:
            pending.resolve(error)
        else:
            assert not isinstance(result, Deferred)
            pending.resolve(result)
