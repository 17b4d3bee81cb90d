"""A store whose connection is lost before its n-th statement, and stays lost until it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from creditdesk.schema.repository import ReadSession, Store, WriteSession

STATEMENT_METHODS = (
    "fetch",
    "insert_rows",
    "update_rows",
    "delete_rows",
    "next_ids",
    "advance_ids",
)
"""What a unit of either engine sends to its database."""


class ConnectionLost(ConnectionError):
    """What a driver raises when the database went away."""


class FailingStore:
    """Passes everything on; after `cut_before(n)` only n - 1 statements of writing units."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.restore()

    def fail_before(self, statement: int) -> None:
        """The commit is a statement too."""
        self.restore()
        self._remaining_statements = statement - 1

    def fail_after_commit(self) -> None:
        """The next commit happens, and the news of it is lost."""
        self.restore()
        self._fails_after_commit = True

    def restore(self) -> None:
        self._remaining_statements: int | None = None
        self._fails_after_commit = False
        self.has_failed = False

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[ReadSession]:
        return self.store.read_session(snapshot=snapshot)

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        async with self.store.write_session() as unit:
            for name in STATEMENT_METHODS:
                setattr(unit, name, self._counted(getattr(unit, name)))
            yield unit
            self._count()
        if self._fails_after_commit:
            self._fails_after_commit = False
            self.has_failed = True
            raise ConnectionLost("the connection was lost after the commit")

    async def close(self) -> None:
        """The store belongs to whoever opened it."""

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
