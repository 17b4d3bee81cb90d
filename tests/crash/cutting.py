"""A store whose connection is lost before its n-th statement, and stays lost until it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from creditdesk.schema.repository import Reading, Store, Unit

STATEMENTS = ("fetch", "run_many", "update_many", "delete_where", "next_ids", "taken_ids")
"""What a unit of either engine sends to its database."""


class Lost(ConnectionError):
    """What a driver raises when the database went away."""


class Cutting:
    """Passes everything on; after `cut_before(n)` only n - 1 statements of writing units."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.mend()

    def cut_before(self, statement: int) -> None:
        """The commit is a statement too."""
        self.mend()
        self._left = statement - 1

    def cut_after_commit(self) -> None:
        """The next commit happens, and the news of it is lost."""
        self.mend()
        self._lose_news = True

    def mend(self) -> None:
        self._left: int | None = None
        self._lose_news = False
        self.was_cut = False

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        return self.store.reading()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Unit]:
        async with self.store.writing() as unit:
            for name in STATEMENTS:
                setattr(unit, name, self._counted(getattr(unit, name)))
            yield unit
            self._count()
        if self._lose_news:
            self._lose_news = False
            self.was_cut = True
            raise Lost("the connection was lost after the commit")

    async def close(self) -> None:
        """The store belongs to whoever opened it."""

    def _counted(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*values: Any) -> Any:
            self._count()
            return await send(*values)

        return counted

    def _count(self) -> None:
        if self._left is None:
            return
        if self._left <= 0:
            self.was_cut = True
            raise Lost("the connection was lost")
        self._left -= 1
