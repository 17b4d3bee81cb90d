"""Connections that change the schema while servers run, and the lock that allows one migration at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import asyncpg

from creditdesk.private_files import open_private_bytes, try_lock
from creditdesk.storage.connector import HostConnector
from creditdesk.storage.dialects import Dialect, Execute, PostgreSQL, SQLite
from creditdesk.storage.migrations import LocksUnavailable
from creditdesk.storage.postgresql import translate_error
from creditdesk.storage.role_settings import CONNECTION_SETTINGS
from creditdesk.storage.sqlite import SQLiteStore

LOCK_MILLISECONDS: Final = 150
"""How long a statement waits for a lock, in milliseconds. Later writers queue behind it."""

_MIGRATION_LOCK: Final = 7230521
_POLL_SECONDS: Final = 0.1


class PostgreSQLSchemaConnection:
    """Transactions on one connection, in which no statement waits for long."""

    def __init__(self, connection: Any) -> None:
        self.dialect: Dialect = PostgreSQL()
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        try:
            async with self._connection.transaction():
                await self._connection.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
                yield self._fetch
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise LocksUnavailable("Another transaction holds a lock; try again when it has ended.") from error
        except asyncpg.PostgresError as error:
            raise translate_error(error) from error

    async def execute_alone(self, text: str) -> None:
        await self._connection.execute(text)

    async def _fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = await self._connection.fetch(text, *parameters)
        return rows


class SQLiteSchemaConnection:
    """Makes each change in a write session of its own."""

    def __init__(self, store: SQLiteStore) -> None:
        self.dialect: Dialect = SQLite()
        self._store = store

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        async with self._store.write_session() as session:
            yield session.fetch

    async def execute_alone(self, text: str) -> None:
        async with self._store.write_session() as session:
            await session.fetch(text, ())


@asynccontextmanager
async def sqlite_migration_lock(path: str) -> AsyncIterator[None]:
    """Holds the migration lock of a SQLite file; waits while another migration runs.

    The lock is on a file beside the database, which exists while a migration runs. It ends with its process. A second
    handle on the database file itself would release SQLite's own locks when it is closed.
    """
    lock = Path(f"{path}-migration")
    while (file := _lock_file(lock)) is None:  # noqa: ASYNC110 - another process holds the lock
        await asyncio.sleep(_POLL_SECONDS)
    with file:
        try:
            yield
        finally:
            lock.unlink()  # noqa: ASYNC240 - a name in a local folder, removed at once


def _lock_file(path: Path) -> BinaryIO | None:
    """The locked file; None while another process holds the lock, or has just removed the file."""
    file = open_private_bytes(path)
    with suppress(FileNotFoundError):
        if try_lock(file) and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None


@asynccontextmanager
async def postgresql_migration_lock(url: str) -> AsyncIterator[None]:
    """Holds the migration lock of a PostgreSQL database; waits while another migration runs.

    The lock belongs to a transaction, which poolers keep on one connection. It is polled: waiting for it would keep a
    snapshot open, for which a concurrent index build would wait.
    """
    connection = await HostConnector(url)(url, server_settings=CONNECTION_SETTINGS)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            while not await _take_lock(connection):  # noqa: ASYNC110 - the lock is in the database
                await asyncio.sleep(_POLL_SECONDS)
            yield
    finally:
        await connection.close()


async def _take_lock(connection: Any) -> bool:
    taken = await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_MIGRATION_LOCK})")
    # Of the extended protocol, the last statement stays open with its snapshot until another one begins.
    await connection.execute("SELECT 1")
    return bool(taken)
