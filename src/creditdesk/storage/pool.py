"""A connection pool over asyncpg's own, which opens the connections and takes damaged ones back.

Acquiring from this one costs half as much, and waiters are served in order of arrival (decision 14).
"""

from __future__ import annotations

from asyncio import CancelledError, Semaphore, timeout
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg

MAX_IDLE_SECONDS: Final = 300
"""A connection idle for longer is replaced: a proxy or firewall may have dropped it."""


_UNUSABLE: Final = (
    # The server went away between two statements.
    asyncpg.InternalClientError,
    # It may be silent, and the end of the statement is unknown.
    TimeoutError,
    CancelledError,
    # It has become a replica.
    asyncpg.ReadOnlySQLTransactionError,
)
"""Errors after which a connection is closed."""


class ConnectionPool:
    """Hands out at most `max_size` connections of an asyncpg pool of that size."""

    def __init__(self, pool: Any, max_size: int, wait_seconds: float | None = None) -> None:
        self._pool = pool
        self._wait_seconds = wait_seconds
        self._slots = Semaphore(max_size)
        self._idle: list[tuple[Any, float]] = []
        self._closing = False

    def acquire(self) -> PooledConnection:
        """A connection for as long as the block; raises ConnectionError without a server."""
        return PooledConnection(self)

    async def checkout(self) -> Any:
        """A connection that must be checked in again."""
        await self._take_slot()
        try:
            while self._idle:
                connection, since = self._idle.pop()
                if monotonic() - since < MAX_IDLE_SECONDS and _is_open(connection):
                    return connection
                await self._discard(connection)
            return await self._pool.acquire()
        except OSError as error:
            # A missing socket and a timeout are reported like a refused connection.
            self._slots.release()
            raise ConnectionError(f"no connection to the database: {error}") from error
        except BaseException:
            self._slots.release()
            raise

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with timeout(self._wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise ConnectionError("every connection to the database is in use") from None

    async def checkin(self, connection: Any, error: BaseException | None) -> None:
        """Takes a connection back from a block that ended with this error, if any."""
        try:
            if isinstance(error, _UNUSABLE):
                # Releasing would wait for the answer of a silent server.
                await self._discard(connection)
            elif error is not None or self._closing:
                await self._pool.release(connection)
            else:
                self._idle.append((connection, monotonic()))
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Waits for connections in use, then closes all."""
        self._closing = True
        await self._release_idle()
        await self._pool.close()

    async def _release_idle(self) -> None:
        while self._idle:
            await self._pool.release(self._idle.pop()[0])

    async def _discard(self, connection: Any) -> None:
        # The pool may have noticed first that it is closed, and taken it back.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()
        await self._pool.release(connection)


class PooledConnection:
    """Context manager that checks a connection out and in."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.checkout()
        return self._connection

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        await self._pool.checkin(self._connection, error)
        if isinstance(error, asyncpg.InternalClientError | TimeoutError):
            raise ConnectionError(f"the database went away: {error}") from error


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False
