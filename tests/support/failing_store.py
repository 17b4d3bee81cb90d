"""Stores that fail: a connection that is lost until it is restored, and a transaction that loses a race."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict
from creditdesk.schema.repository import ReadSession, Store, WriteSession

STATEMENT_METHODS = (
    "fetch",
    "insert_rows",
    "update_rows",
    "delete_rows",
    "next_ids",
    "advance_ids",
)
"""The methods of a write session that send a statement."""


T = TypeVar("T")


class ConnectionLost(ConnectionError):
    """The error of a driver whose connection was lost."""


class FailingStore:
    """Forwards to a store; after `fail_before(n)` only n - 1 statements of write sessions succeed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._remaining_statements: int | None = None
        self._fails_after_commit = False
        self.has_failed = False

    def fail_before(self, statement: int) -> None:
        """Loses the connection before this statement; the commit counts as one."""
        self.restore()
        self._remaining_statements = statement - 1

    def fail_after_commit(self) -> None:
        """Loses the connection after the next commit, before its result is received."""
        self.restore()
        self._fails_after_commit = True

    def restore(self) -> None:
        self._remaining_statements = None
        self._fails_after_commit = False
        self.has_failed = False

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[ReadSession]:
        return self.store.read_session(snapshot=snapshot)

    async def read_detached(self, work: Callable[[ReadSession], Awaitable[T]]) -> T:
        return await self.store.read_detached(work)

    def bulk_load(self, entities: Sequence[type[Entity]]) -> AbstractAsyncContextManager[WriteSession]:
        return self.store.bulk_load(entities)

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        async with self.store.write_session() as session:
            for name in STATEMENT_METHODS:
                setattr(session, name, self._counted(getattr(session, name)))
            yield session
            self._count()
        if self._fails_after_commit:
            self._fails_after_commit = False
            self.has_failed = True
            raise ConnectionLost("the connection was lost after the commit")

    async def close(self) -> None:
        """The caller owns the store."""

    def _counted(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*values: Any) -> Any:
            self._count()
            return await send(*values)

        return counted

    def _count(self) -> None:
        if self._remaining_statements is None:
            return
        if self._remaining_statements <= 0:
            self.has_failed = True
            raise ConnectionLost("the connection was lost")
        self._remaining_statements -= 1


class RacedStore(FailingStore):
    """Forwards to a store; after `lose_next` a write session ends as one that another came before."""

    _commits_before_loss = -1

    @property
    def is_losing(self) -> bool:
        """Whether the write session that is to lose has not ended yet."""
        return self._commits_before_loss >= 0

    def lose_next(self, after: int = 0) -> None:
        """Makes the next write session lose, or a later one `after` so many."""
        self._commits_before_loss = after

    def restore(self) -> None:
        super().restore()
        self._commits_before_loss = -1

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        async with self.store.write_session() as session:
            yield session
            if self.is_losing:
                self._commits_before_loss -= 1
                if not self.is_losing:
                    raise Conflict("Another change came first")
