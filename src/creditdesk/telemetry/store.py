"""A store that adds the time of each session to its request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, TypeVar

from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import ReadSession, Store, WriteSession
from creditdesk.telemetry.request_record import current_request

T = TypeVar("T")
SessionT = TypeVar("SessionT")


class _TimedSession(AbstractAsyncContextManager[SessionT], Generic[SessionT]):
    """Measures from the request for a session to its end: waiting, statements and commit."""

    __slots__ = ("_inner", "_started")

    def __init__(self, inner: AbstractAsyncContextManager[SessionT]) -> None:
        self._inner = inner
        self._started = perf_counter()

    def __aenter__(self) -> Coroutine[Any, Any, SessionT]:
        return self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._inner.__aexit__(kind, error, trace)
        finally:
            request = current_request.get()
            if request is not None:
                request.database_seconds += perf_counter() - self._started


class TimedStore:
    """Forwards to a store, and times its sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[ReadSession]:
        return _TimedSession(self._store.read_session(snapshot=snapshot))

    def write_session(self) -> AbstractAsyncContextManager[WriteSession]:
        return _TimedSession(self._store.write_session())

    def bulk_load(self, entities: Sequence[type[Entity]]) -> AbstractAsyncContextManager[WriteSession]:
        return _TimedSession(self._store.bulk_load(entities))

    async def read_detached(self, work: Callable[[ReadSession], Awaitable[T]]) -> T:
        started = perf_counter()
        try:
            return await self._store.read_detached(work)
        finally:
            request = current_request.get()
            if request is not None:
                request.database_seconds += perf_counter() - started

    async def close(self) -> None:
        await self._store.close()
