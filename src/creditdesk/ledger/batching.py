"""Group commit: requests that arrive while a transaction runs share the next one (rule 31).

Each request gets its own result or error. A request whose accounts are locked by another
transaction may be deferred once, to the next batch, so that it does not delay the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import copy_context
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from creditdesk.schema.errors import Conflict, DomainError, Unavailable
from creditdesk.telemetry.metrics import BATCH_REQUESTS, BATCH_SECONDS, BATCH_WAITING, RETRIES
from creditdesk.telemetry.request_record import RequestRecord, current_request

MAX_BATCH_SIZE: Final = 64
MAX_GATHER_DELAY: Final = timedelta(milliseconds=10)
"""Upper bound of the wait for clients that just received an answer; half the last batch otherwise."""


class Deferred(Enum):
    """Stands in the place of a result."""

    DEFERRED = "deferred"


DEFERRED: Final = Deferred.DEFERRED
"""Another transaction locks what the request needs. Nothing was done; the next batch will wait."""

Session = TypeVar("Session")
Request = TypeVar("Request")
Result = TypeVar("Result")


class _Pending(Struct, Generic[Request, Result], frozen=True):
    request: Request
    conflict_keys: frozenset[Hashable]
    idempotent: bool
    future: asyncio.Future[Result]
    record: RequestRecord | None
    was_deferred: bool = False

    def resolve(self, outcome: Result | Exception) -> None:
        # A client that disconnected has cancelled its future.
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class BatchQueue(Generic[Session, Request, Result]):
    """Collects requests and executes each batch in one session.

    `execute(session, requests, must_wait)` returns one result, `DomainError` or `DEFERRED` per
    request, in order. The first `must_wait` requests were deferred before and may not be deferred
    again.
    """

    def __init__(
        self,
        open_session: Callable[[], AbstractAsyncContextManager[Session]],
        execute: Callable[[Session, Sequence[Request], int], Awaitable[Sequence[Result | DomainError | Deferred]]],
        max_batch_size: int = MAX_BATCH_SIZE,
    ) -> None:
        self._open_session = open_session
        self._execute = execute
        self._max_batch_size = max_batch_size
        self._queue: list[_Pending[Request, Result]] = []
        self._task: asyncio.Task[None] | None = None
        self._expected = 1
        self._gather_delay = timedelta()
        self._batch_ready = asyncio.Event()

    async def submit(
        self,
        request: Request,
        *,
        conflict_keys: frozenset[Hashable] = frozenset(),
        idempotent: bool = False,
    ) -> Result:
        """Executes `request` with whatever else is queued and returns its result.

        Two requests that share a conflict key never run in the same batch. `idempotent` requests
        may be retried after a commit whose outcome is unknown (rule 32). Raises the request's own
        `DomainError`.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(request, conflict_keys, idempotent, future, current_request.get()))
        if self._task is None:
            # The task works for many requests, so none of them is its current one.
            context = copy_context()
            context.run(current_request.set, None)
            self._task = asyncio.create_task(self._run(), context=context)
        if len(self._queue) >= self._expected:
            self._batch_ready.set()
        # A client that disconnects cancels its future alone: the batch runs in a task of its own.
        return await future

    async def _run(self) -> None:
        try:
            # Let requests of the current loop iteration join the first batch.
            await asyncio.sleep(0)
            while self._queue:
                await self._wait_for_more()
                batch = self._take_batch()
                loop = asyncio.get_running_loop()
                started = loop.time()
                deferred = await self._execute_batch(batch)
                duration = timedelta(seconds=loop.time() - started)
                _observe(batch, duration)
                BATCH_WAITING.set(len(self._queue))
                self._expected = min(len(batch) + len(self._queue), self._max_batch_size)
                self._queue[:0] = deferred
                self._gather_delay = min(duration / 2, MAX_GATHER_DELAY)
        finally:
            self._task = None

    async def _wait_for_more(self) -> None:
        """Waits for the clients of the last batch to come back, up to the gather delay.

        A transaction costs as much as a dozen requests in it, so few large batches answer everyone
        sooner than many small ones, even where small ones could overlap.
        """
        if len(self._queue) < self._expected:
            self._batch_ready.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._gather_delay.total_seconds()):
                    await self._batch_ready.wait()

    def _take_batch(self) -> list[_Pending[Request, Result]]:
        """Takes the next batch from the queue; the other requests keep their order."""
        batch = list[_Pending[Request, Result]]()
        later = list[_Pending[Request, Result]]()
        taken_keys: set[Hashable] = set()
        for pending in self._queue:
            if len(batch) == self._max_batch_size or pending.conflict_keys & taken_keys:
                later.append(pending)
            else:
                batch.append(pending)
                taken_keys |= pending.conflict_keys
        self._queue = later
        return batch

    async def _execute_batch(self, batch: Sequence[_Pending[Request, Result]]) -> list[_Pending[Request, Result]]:
        """Resolves every future of the batch; returns the requests that were deferred."""
        # A request that is alone in its batch delays nobody.
        must_wait = 1 if len(batch) == 1 else sum(pending.was_deferred for pending in batch)
        results: Sequence[Result | DomainError | Deferred] = ()
        try:
            async with self._open_session() as session:
                requests = [pending.request for pending in batch]
                results = await self._execute(session, requests, must_wait)
        except Unavailable as error:
            # Everyone who waits has waited as long, and would wait for the same again.
            waiting, self._queue = self._queue, []
            for pending in (*batch, *waiting):
                pending.resolve(error)
            return []
        except Exception as error:
            await self._retry_alone(batch, results, error)
            return []
        deferred: list[_Pending[Request, Result]] = []
        for pending, result in zip(batch, results, strict=True):
            if isinstance(result, Deferred):
                RETRIES.count("deferred")
                deferred.append(replace(pending, was_deferred=True))
            else:
                pending.resolve(result)
        return deferred

    async def _retry_alone(
        self,
        batch: Sequence[_Pending[Request, Result]],
        results: Sequence[Result | DomainError | Deferred],
        error: Exception,
    ) -> None:
        """Retries the requests of a failed batch one by one, each in a session of its own.

        After a commit with an unknown outcome only idempotent and deferred requests may run again;
        the others get `error`. So does the rest once the database cannot be reached: each would wait
        for the same deadline.
        """
        is_unknown = bool(results) and not isinstance(error, Conflict)
        is_reachable = True
        for place, pending in enumerate(batch):
            if not is_reachable or (is_unknown and not (pending.idempotent or isinstance(results[place], Deferred))):
                pending.resolve(error)
            else:
                RETRIES.count("alone")
                is_reachable = await self._execute_alone(pending)

    async def _execute_alone(self, pending: _Pending[Request, Result]) -> bool:
        """Resolves one request; returns False when the database could not be reached."""
        try:
            async with self._open_session() as session:
                (result,) = await self._execute(session, [pending.request], 1)
        except Exception as error:
            pending.resolve(error)
            return not isinstance(error, ConnectionError | Unavailable)
        assert not isinstance(result, Deferred)
        pending.resolve(result)
        return True


def _observe(batch: Sequence[_Pending[Request, Result]], duration: timedelta) -> None:
    seconds = duration.total_seconds()
    BATCH_REQUESTS.observe(len(batch))
    BATCH_SECONDS.observe(seconds)
    for pending in batch:
        if pending.record is not None:
            pending.record.batch = len(batch)
            pending.record.database_seconds += seconds
