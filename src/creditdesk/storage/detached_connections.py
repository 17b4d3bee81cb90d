"""Connections to PostgreSQL for detached reads, each with an event loop that runs on one thread at a time.

Opening a connection and preparing its statements costs more than a short report, so some are kept open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

import asyncpg

from creditdesk.storage.connector import CONNECT_SECONDS, HostConnector
from creditdesk.storage.pool import MAX_IDLE_SECONDS
from creditdesk.storage.role_settings import CONNECTION_SETTINGS

MAX_IDLE_CONNECTIONS: Final = 2
"""How many connections stay open for the next reads."""

DETACHED_STATEMENT_SECONDS: Final = 120
"""How long one statement of a detached read may take."""

T = TypeVar("T")
_LOST: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class _Reader:
    """A connection, opened on its own event loop."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        try:
            self._connection = self._runner.run(_open(url))
        except BaseException:
            self._runner.close()
            raise
        self._used = monotonic()

    def begin(self) -> Any:
        """Begins the transaction of a snapshot; raises one of _LOST if the connection or its host is gone."""
        if monotonic() - self._used > MAX_IDLE_SECONDS:
            raise TimeoutError("idle for too long")
        transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
        self._runner.run(_start(transaction))
        return transaction

    def finish(self, transaction: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        """Runs `work` over the connection, ends the transaction and returns the result."""

        async def read() -> T:
            result = await work(self._connection)
            await transaction.rollback()
            return result

        result = self._runner.run(read())
        self._used = monotonic()
        return result

    def close(self) -> None:
        """Closes the connection without waiting for the server, and the event loop."""
        with suppress(*_LOST):
            self._connection.terminate()
        self._runner.close()


class DetachedConnections:
    """Runs reads over snapshots on threads, and reuses their connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[_Reader] = []
        self._is_closed = False

    async def read(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """The result of `work` over a connection in the transaction of a snapshot.

        Raises ConnectionError if the server goes away or does not answer, as a pooled connection does.
        """
        return await asyncio.to_thread(self._read, work)

    def _read(self, work: Callable[[Any], Awaitable[T]]) -> T:
        reader, transaction = self._begin()
        try:
            result = reader.finish(transaction, work)
        except (asyncpg.InternalClientError, TimeoutError) as error:
            # The former means that the server went away between two statements.
            reader.close()
            raise ConnectionError(f"the database went away: {error}") from error
        except BaseException:
            reader.close()
            raise
        # Another thread may do the same concurrently: then one more stays open.
        if self._is_closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            reader.close()
        else:
            self._idle.append(reader)
        return result

    def _begin(self) -> tuple[_Reader, Any]:
        while True:
            try:
                reader = self._idle.pop()
            except IndexError:
                break
            try:
                return reader, reader.begin()
            except _LOST:
                reader.close()
        reader = _Reader(self._url)
        try:
            return reader, reader.begin()
        except BaseException:
            reader.close()
            raise

    async def close(self) -> None:
        """Closes the connections that are idle, and each that is in use once its read has ended."""
        self._is_closed = True
        await asyncio.to_thread(self._close_idle)

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


async def _open(url: str) -> Any:
    return await HostConnector(url)(
        url, command_timeout=DETACHED_STATEMENT_SECONDS, server_settings=CONNECTION_SETTINGS, statement_cache_size=1024
    )


async def _start(transaction: Any) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        await transaction.start()
