"""Opens the store of a database URL, and brings its schema up to date when asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import creditdesk.entities.catalog  # noqa: F401 - the tables derive from what is declared
from creditdesk.schema.repository import Store
from creditdesk.storage.migrations import (
    MIGRATIONS,
    MissingDatabase,
    OneTransaction,
    OnlineTarget,
    PlannedChange,
    RecordingTarget,
    SchemaTarget,
    StepKind,
    applied,
    check_version,
    estimate_rows,
    migrate,
)
from creditdesk.storage.postgresql import PostgreSQLStore, connect
from creditdesk.storage.role_settings import set_role_settings
from creditdesk.storage.schema_connections import (
    PostgreSQLSchemaConnection,
    SQLiteSchemaConnection,
    postgresql_migration_lock,
    sqlite_migration_lock,
)
from creditdesk.storage.scratch_schema import copy_schema, use_copied_schema
from creditdesk.storage.session import BaseReadSession, BaseWriteSession
from creditdesk.storage.sqlite import BUSY_SECONDS, SQLiteStore
from creditdesk.storage.urls import POSTGRESQL_PREFIXES, SQLITE_PREFIX, sqlite_file

DEFAULT_POOL_SIZE: Final = 6

_AnyStore = SQLiteStore | PostgreSQLStore


class UnknownEngine(ValueError):
    """A database URL that names no supported engine."""


class _Undone(Exception):
    """Rolls a dry run back."""


@dataclass(frozen=True, slots=True)
class Step:
    """A numbered step: its title and kind, and when it was applied, None if it is pending."""

    title: str
    kind: StepKind
    applied_on: str | None


async def open_store(
    url: str,
    *,
    migrated: bool = False,
    contract: bool = True,
    connections: int = DEFAULT_POOL_SIZE,
    busy_seconds: float = BUSY_SECONDS,
    statement_seconds: float | None = None,
) -> Store:
    """A store for `sqlite:///path` or `postgresql://…`.

    With `migrated`, creates the database if it is missing and brings its schema up to date; without `contract` only
    as far as older programs can still serve it. Raises MissingDatabase, OlderDatabase or NewerDatabase for a database
    that is missing or whose schema this program does not serve.
    """
    if not migrated:
        _require_file(url)
    store = await _open(url, connections, busy_seconds, statement_seconds)
    try:
        if migrated:
            await _migrate_store(store, url, contract, lambda _title: None)
        async with store.read_session() as session:
            check_version(await applied(session.fetch, session.dialect))
    except BaseException:
        await store.close()
        raise
    return store


async def migrate_database(
    url: str, *, contract: bool, announce: Callable[[str], None] = lambda _title: None
) -> list[str]:
    """Brings the schema up to date, and announces each step; returns the titles of pending steps.

    Without `contract`, contract steps and those after them stay pending. Another call resumes an interrupted
    migration. Raises NewerDatabase.
    """
    store = await _open(url, 1)
    try:
        return await _migrate_store(store, url, contract, announce)
    finally:
        await store.close()


async def _migrate_store(store: _AnyStore, url: str, contract: bool, announce: Callable[[str], None]) -> list[str]:
    async with AsyncExitStack() as stack:
        if isinstance(store, PostgreSQLStore):
            await set_role_settings(url)
            await stack.enter_async_context(postgresql_migration_lock(url))
        else:
            await stack.enter_async_context(sqlite_migration_lock(store.path))
        async with store.read_session() as session:
            is_empty = not (await applied(session.fetch, session.dialect)).dates
        target: SchemaTarget
        if is_empty:
            writes = await stack.enter_async_context(store.write_session())
            target = OneTransaction(writes.fetch, writes.dialect)
        elif isinstance(store, SQLiteStore):
            target = OnlineTarget(SQLiteSchemaConnection(store), announce)
        else:
            connection = await stack.enter_async_context(store.pool.acquire())
            target = OnlineTarget(PostgreSQLSchemaConnection(connection), announce)
        return await migrate(target, _timestamp(), contract=contract)


async def migration_steps(url: str) -> list[Step]:
    """Every numbered step."""
    async with _existing(url) as store, store.read_session() as session:
        dates = (await applied(session.fetch, session.dialect)).dates
    return [Step(each.title, each.kind, dates.get(each.number)) for each in MIGRATIONS]


async def schema_version(store: Store) -> int:
    """The number of the schema of an open store."""
    async with store.read_session(snapshot=False) as session:
        assert isinstance(session, BaseReadSession)
        return (await applied(session.fetch, session.dialect)).version


async def planned_changes(url: str) -> list[PlannedChange]:
    """The changes that a migration with all contract steps would make; empty if there are none.

    They are tried on a copy of the schema without rows, so nothing is locked.
    """
    async with _existing(url) as store:
        async with store.read_session() as session:
            estimates = await estimate_rows(session.fetch, session.dialect)
        if isinstance(store, SQLiteStore):
            scratch = SQLiteStore(":memory:")
            try:
                async with store.read_session() as source, scratch.write_session() as copy:
                    await copy_schema(source.fetch, copy.fetch)
                    return await _plan(copy, estimates)
            finally:
                await scratch.close()
        changes: list[PlannedChange] = []
        try:
            async with store.write_session() as session:
                await use_copied_schema(session.fetch)
                changes = await _plan(session, estimates)
                raise _Undone  # noqa: TRY301 - the transaction ends by an exception
        except _Undone:
            return changes


async def _plan(session: BaseWriteSession, estimates: Mapping[str, int]) -> list[PlannedChange]:
    target = RecordingTarget(session.fetch, session.dialect, estimates)
    await migrate(target, _timestamp(), contract=True)
    return [change for change in target.changes if change.statements]


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
    """The store of a URL; a temporary one for a file that does not exist."""
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


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
