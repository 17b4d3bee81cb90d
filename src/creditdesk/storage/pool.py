"""A connection pool in front of asyncpg's, which opens connections and takes broken ones back.

Acquiring a connection costs half as much, and waiters are served in order of arrival (decision 14).
"""

from __future__ import annotations

from asyncio import CancelledError, Semaphore, Task, create_task, gather, timeout
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg

from creditdesk.telemetry.metrics import DATABASE_IN_USE, DATABASE_WAIT_SECONDS

MAX_IDLE_SECONDS: Final = 300
"""A connection idle for longer is replaced: a proxy or firewall may have dropped it."""

CANCEL_SECONDS: Final = 0.5
"""How long the server may take to end a cancelled statement, before its connection is closed."""


class StatementCancelled(TimeoutError):
    """A statement was cancelled because of its duration; it may be executed again."""


_UNUSABLE: Final = (
    # The server went away between two statements.
    asyncpg.InternalClientError,
    # It has become a replica.
    asyncpg.ReadOnlySQLTransactionError,
)
"""Errors after which a connection is closed."""


class ConnectionPool:
    """Hands out at most `max_size` connections of an asyncpg pool of that size."""

    def __init__(self, pool: Any, max_size: int, wait_seconds: float | None = None) -> None:
        self._pool = pool
        self.max_size = max_size
        self._wait_seconds = wait_seconds
        self._slots = Semaphore(max_size)
        self._ending: set[Task[None]] = set()
        self._idle: list[tuple[Any, float]] = []
        self._in_use: dict[Any, float] = {}
        self._closing = False

    def acquire(self) -> PooledConnection:
        """A connection for the duration of the block. Raises ConnectionError without a server."""
        return PooledConnection(self)

    def in_use_since(self, instant: float) -> bool:
        """Whether a connection has been in use since this reading of the monotonic clock, or longer."""
        # The first one entered is the oldest.
        return next(iter(self._in_use.values()), instant + 1) <= instant

    def terminate_in_use(self) -> None:
        """Closes every connection in use; statements that wait on them fail at once."""
        for connection in tuple(self._in_use):
            with suppress(asyncpg.InterfaceError):
                connection.terminate()

    async def checkout(self) -> Any:
        """A connection that must be checked in again."""
        connection = await self._open()
        self._in_use[connection] = monotonic()
        DATABASE_IN_USE.add(1)
        return connection

    async def _open(self) -> Any:
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
        started = monotonic()
        try:
            async with timeout(self._wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise ConnectionError("every connection to the database is in use") from None
        finally:
            DATABASE_WAIT_SECONDS.observe(monotonic() - started)

    async def checkin(self, connection: Any, error: BaseException | None) -> None:
        """Takes a connection back from a block that ended with this error, if any."""
        del self._in_use[connection]
        DATABASE_IN_USE.add(-1)
        if isinstance(error, TimeoutError | CancelledError):
            # The block's caller does not wait until the server has cancelled the statement.
            task = create_task(self._release_cancelled(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            return
        try:
            if isinstance(error, _UNUSABLE):
                await self._discard(connection)
            elif error is not None or self._closing:
                await self._release(connection)
            else:
                self._idle.append((connection, monotonic()))
        finally:
            self._slots.release()

    async def _release_cancelled(self, connection: Any) -> None:
        """Releases a connection once its statement has ended, or closes it."""
        try:
            await self._release(connection)
        finally:
            self._slots.release()

    async def _release(self, connection: Any) -> None:
        """Returns a connection to asyncpg's pool, which ends its transaction, or else closes it."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self._pool.release(connection, timeout=CANCEL_SECONDS)

    async def close(self) -> None:
        """Waits for connections in use, then closes all."""
        self._closing = True
        await gather(*self._ending)
        await self._release_idle()
        await self._pool.close()

    async def _release_idle(self) -> None:
        idle, self._idle = self._idle, []
        await gather(*(self._release(connection) for connection, _ in idle))

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
        if isinstance(error, asyncpg.InternalClientError | TimeoutError) and not isinstance(error, StatementCancelled):
            raise ConnectionError(f"the database went away: {error}") from error


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False
