"""A store for a database URL, migrated when asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import creditdesk.entities.catalog  # noqa: F401 - the tables derive from what is declared
from creditdesk.schema.repository import Store
from creditdesk.storage.migrations import (
    LATEST_VERSION,
    NewerDatabase,
    OlderDatabase,
    current_version,
    migrate,
)
from creditdesk.storage.postgresql import PostgreSQLStore, connect
from creditdesk.storage.sqlite import SQLiteStore

DEFAULT_POOL_SIZE = 6


class UnknownEngine(ValueError):
    """A database URL that names no engine we know."""


async def open_store(
    url: str, *, migrated: bool = False, connections: int = DEFAULT_POOL_SIZE
) -> Store:
    """A store for `sqlite:///path` or `postgresql://…`.

    With `migrated` the schema is brought up to date first; without it a database that is older
    (OlderDatabase) or newer (NewerDatabase) than the program is refused.
    """
    if url.startswith("sqlite:///"):
        sqlite_store = SQLiteStore(url.removeprefix("sqlite:///") or ":memory:")
        await _prepare_sqlite(sqlite_store, migrated)
        return sqlite_store
    if url.startswith(("postgresql://", "postgres://")):
        postgresql_store = await connect(url, connections)
        try:
            await _prepare_postgresql(postgresql_store, migrated)
        except BaseException:
            await postgresql_store.close()
            raise
        return postgresql_store
    raise UnknownEngine("The database must be sqlite:///path or postgresql://…")


async def _prepare_sqlite(store: SQLiteStore, migrated: bool) -> None:
    connection = store.connection

    async def run(text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return connection.execute(text, tuple(values)).fetchall()

    if not migrated:
        try:
            _check_version(await current_version(run))
        except sqlite3.OperationalError:
            _check_version(0)
        return
    await store.begin()
    try:
        await migrate(run, store.statements.dialect, _timestamp())
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


async def _prepare_postgresql(store: PostgreSQLStore, migrated: bool) -> None:
    async with store.pool.acquire() as connection:

        async def run(text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
            rows: Sequence[Sequence[Any]] = await connection.fetch(text, *values)
            return rows

        if not migrated:
            there = await run("SELECT to_regclass('schema_version') IS NOT NULL", ())
            _check_version(await current_version(run) if there[0][0] else 0)
            return
        async with connection.transaction():
            # Several machines may start at once; one migrates, the others wait and find it done.
            await run("SELECT pg_advisory_xact_lock(7230521)", ())
            await migrate(run, store.statements.dialect, _timestamp())


def _check_version(number: int) -> None:
    if number > LATEST_VERSION:
        raise NewerDatabase(
            f"The database has schema {number}; this program knows up to {LATEST_VERSION}. "
            "Use the newer program."
        )
    if number < LATEST_VERSION:
        raise OlderDatabase("The database is not up to date. Run: creditdesk migrate")


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
