"""Opens the store of a database URL, and brings its schema up to date when asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import creditdesk.entities.catalog  # noqa: F401 - the tables derive from what is declared
from creditdesk.schema.repository import Store
from creditdesk.storage.migrations import (
    MIGRATIONS,
    MissingDatabase,
    PlannedChange,
    applied,
    check_version,
    migrate,
    plan,
)
from creditdesk.storage.postgresql import PostgreSQLStore, connect
from creditdesk.storage.role_settings import set_role_settings
from creditdesk.storage.session import BaseWriteSession
from creditdesk.storage.sqlite import BUSY_SECONDS, SQLiteStore
from creditdesk.storage.urls import POSTGRESQL_PREFIXES, SQLITE_PREFIX, sqlite_file

DEFAULT_POOL_SIZE: Final = 6
_MIGRATION_LOCK: Final = 7230521

_AnyStore = SQLiteStore | PostgreSQLStore


class UnknownEngine(ValueError):
    """A database URL that names no supported engine."""


class _Undone(Exception):
    """Rolls a dry run back."""


async def open_store(
    url: str,
    *,
    migrated: bool = False,
    connections: int = DEFAULT_POOL_SIZE,
    busy_seconds: float = BUSY_SECONDS,
    statement_seconds: float | None = None,
) -> Store:
    """A store for `sqlite:///path` or `postgresql://…`.

    With `migrated` the database is created if it is missing, and its schema brought up to date.
    Without it, raises MissingDatabase, OlderDatabase or NewerDatabase for a database that is
    missing or whose schema is not this program's.
    """
    if not migrated:
        _require_file(url)
    elif url.startswith(POSTGRESQL_PREFIXES):
        await set_role_settings(url)
    store = await _open(url, connections, busy_seconds, statement_seconds)
    try:
        if migrated:
            async with _schema_change(store) as session:
                await migrate(session.fetch, session.dialect, _timestamp())
        else:
            async with store.read_session() as session:
                check_version(await applied(session.fetch, session.dialect))
    except BaseException:
        await store.close()
        raise
    return store


async def migration_steps(url: str) -> list[tuple[str, str | None]]:
    """Every numbered step with its description, and when it was applied, None if it is pending."""
    async with _existing(url) as store, store.read_session() as session:
        dates = await applied(session.fetch, session.dialect)
    return [(f"{each.number:>3}  {each.name}: {each.description}", dates.get(each.number)) for each in MIGRATIONS]


async def planned_changes(url: str) -> list[PlannedChange]:
    """The changes that opening with `migrated` would make, empty when there are none.

    They are made in a transaction that is rolled back: it takes as long, and the same locks.
    """
    changes: list[PlannedChange] = []
    async with _existing(url) as store:
        try:
            async with _schema_change(store) as session:
                changes = await plan(session.fetch, session.dialect, _timestamp())
                raise _Undone  # noqa: TRY301 - the transaction ends by an exception
        except _Undone:
            return changes


async def _open(
    url: str,
    connections: int,
    busy_seconds: float = BUSY_SECONDS,
    statement_seconds: float | None = None,
) -> _AnyStore:
    file = sqlite_file(url)
    if file is not None:
        return SQLiteStore(file or ":memory:", busy_seconds, statement_seconds)
    if url.startswith(POSTGRESQL_PREFIXES):
        return await connect(url, connections, statement_seconds)
    raise UnknownEngine("The database must be sqlite:///path or postgresql://…")


@asynccontextmanager
async def _existing(url: str) -> AsyncIterator[_AnyStore]:
    """The store of a URL; a temporary one in place of a file that does not exist."""
    store = await _open(SQLITE_PREFIX if _is_missing_file(url) else url, connections=1)
    try:
        yield store
    finally:
        await store.close()


def _require_file(url: str) -> None:
    """Raises MissingDatabase for a SQLite file that does not exist."""
    if _is_missing_file(url):
        path = Path(url.removeprefix(SQLITE_PREFIX)).resolve()
        raise MissingDatabase(f"There is no database at {path}. Run: creditdesk init --admin EMAIL")


def _is_missing_file(url: str) -> bool:
    name = sqlite_file(url)
    if name is None:
        return False
    file = Path(name)
    return not file.exists() or (file.is_file() and file.stat().st_size == 0)


@asynccontextmanager
async def _schema_change(store: _AnyStore) -> AsyncIterator[BaseWriteSession]:
    async with store.write_session() as session:
        if session.dialect.name == "postgresql":
            # Several machines may start at once: one migrates, the others wait and find it done.
            await session.fetch(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})", ())
        yield session


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
