"""Connections of the driver's pool, each lent to one unit at a time and kept at hand in between.

The pool's own way of lending costs more than most questions do. It opens connections, and gets
those back that came to harm. Must not know what they are lent for.
"""

from __future__ import annotations

from asyncio import Semaphore
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import asyncpg

MAX_IDLE_SECONDS: Final = 300
"""One that lay at hand for longer is closed, as whatever lies between may have forgotten it."""


class ConnectionPool:
    """At most so many connections of a pool that has as many."""

    def __init__(self, pool: Any, max_size: int) -> None:
        self._pool = pool
        self._slots = Semaphore(max_size)
        self._idle: list[tuple[Any, float]] = []
        self._closing = False

    def acquire(self) -> PooledConnection:
        """A connection for as long as the block; ConnectionError when the server is gone."""
        return PooledConnection(self)

    async def checkout(self) -> Any:
        """A connection that must be given back."""
        await self._slots.acquire()
        try:
            while self._idle:
                connection, since = self._idle.pop()
                if monotonic() - since < MAX_IDLE_SECONDS and _is_open(connection):
                    return connection
                await self._discard(connection)
            return await self._pool.acquire()
        except OSError as fault:
            # A socket that is gone, or a time that ran out, says no more than a refusal does.
            self._slots.release()
            raise ConnectionError(f"no connection to the database: {fault}") from fault
        except BaseException:
            self._slots.release()
            raise

    async def checkin(self, connection: Any, error: BaseException | None) -> None:
        """Takes a connection back from a block that ended with this fault, if any."""
        try:
            if isinstance(error, asyncpg.InternalClientError):
                # The server left between two statements, and the driver has lost its place.
                await self._discard(connection)
            elif error is not None or self._closing:
                await self._pool.release(connection)
            else:
                self._idle.append((connection, monotonic()))
        finally:
            self._slots.release()

    async def expire_connections(self) -> None:
        """Has every connection opened anew before it is lent again."""
        await self._pool.expire_connections()
        await self._release_idle()

    async def close(self) -> None:
        """Waits for what is lent, and closes all."""
        self._closing = True
        await self._release_idle()
        await self._pool.close()

    async def _release_idle(self) -> None:
        while self._idle:
            await self._pool.release(self._idle.pop()[0])

    async def _discard(self, connection: Any) -> None:
        # The pool may have noticed before us that it is closed, and taken it back.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()
        await self._pool.release(connection)


class PooledConnection:
    """A block that has a connection for itself."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.checkout()
        return self._connection

    async def __aexit__(self, _: object, fault: BaseException | None, __: object) -> None:
        await self._pool.checkin(self._connection, fault)
        if isinstance(fault, asyncpg.InternalClientError):
            raise ConnectionError(f"the database went away: {fault}") from fault


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False
