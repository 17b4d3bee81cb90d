"""Random edits of the database are found, or stand in the published list of what is not covered (rule 38).

Somebody who can write to the database drops its triggers and constraints, changes a value, exchanges two,
deletes a row or adds a copy of one. Each edit is undone before the next.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoint_format import Checkpoint
from creditdesk.audit.checkpoints import latest_checkpoint
from creditdesk.audit.coverage import BOOKING_CHARGE, DELETED_ROW, INSERTED_ROW, PARTLY_COVERED
from creditdesk.audit.verify import verify_ledger
from creditdesk.schema.entity import Entity, declared_entities
from creditdesk.schema.fields import Boolean
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.naming import column_name, link_table, table_name
from creditdesk.storage.postgresql import PostgreSQLReadSession, PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore, SQLiteWriteSession
from tests.support.database_edits import COPY, DELETE, Edit, draw_edit
from tests.support.databases import NewDatabase
from tests.support.full_ledger import create_full_ledger
from tests.support.progress import CollectingReporter

SEED = 20261128


def _flag_columns(table: str) -> set[str]:
    """The columns of a table that hold true or false; SQLite stores them as numbers."""
    columns = [c for e in declared_entities() if table_name(e) == table for c in e.meta().stored_columns]
    return {column_name(column) for column in columns if isinstance(column.field, Boolean)}


class _EditedSQLite:
    """Edits over the connection of a store, in a transaction that is rolled back."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self._columns: dict[str, dict[str, str]] = {}
        connection = store.connection
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._store.connection.execute(statement).fetchall()

    async def columns(self, table: str) -> dict[str, str]:
        if table not in self._columns:
            found = await self.rows(f"PRAGMA table_info({table})")
            flags = _flag_columns(table)
            self._columns[table] = {
                name: ("BOOLEAN" if name in flags else type_) + (" NOT NULL" if not_null else "")
                for _, name, type_, not_null, *_ in found
            }
        return self._columns[table]

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        yield SQLiteWriteSession(self._store.statements, self._store.connection)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        self._store.connection.execute("BEGIN")
        try:
            yield
        finally:
            self._store.connection.execute("ROLLBACK")


class _EditedPostgreSQL:
    """Edits over one connection, in a transaction that is rolled back."""

    def __init__(self, store: PostgreSQLStore, connection: Any) -> None:
        self._store = store
        self._connection = connection
        self._columns: dict[str, dict[str, str]] = {}

    async def drop_guards(self) -> None:
        await self._connection.execute("SET session_replication_role = replica")
        found = await self.rows(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' "
            "AND connamespace = current_schema()::regnamespace"
        )
        for table, constraint in found:
            await self._connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(statement)]

    async def columns(self, table: str) -> dict[str, str]:
        if table not in self._columns:
            found = await self.rows(
                "SELECT column_name, data_type || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END "
                f"FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position"
            )
            self._columns[table] = dict(found)
        return self._columns[table]

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        yield PostgreSQLReadSession(self._store.statements, self._connection)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            yield
        finally:
            await transaction.rollback()


async def _undetected(database: Any, kept: Checkpoint, count: int) -> tuple[list[Edit], Counter[str]]:
    """Makes so many edits, one at a time; returns those that nothing finds, and how many each table got."""
    random = Random(SEED)
    tables = list(_covered_tables())
    made: Counter[str] = Counter()
    missed = []
    while made.total() < count:
        async with database.undone():
            try:
                edit = await draw_edit(database, tables, random)
            except (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError):
                # A unique index or NOT NULL cannot be dropped without a trace.
                continue
            if edit is None:
                continue
            made[edit.table] += 1
            report = CollectingReporter()
            await verify_ledger(database, report)
            await verify_checkpoint(database, kept, report)
            if not report.findings:
                missed.append(edit)
    return missed, made


def _covered_tables() -> dict[str, type[Entity]]:
    """The tables of the entities that are covered, and of their collections."""
    tables = {table_name(entity): entity for entity in PARTLY_COVERED}
    for entity in PARTLY_COVERED:
        for column in entity.meta().collection_columns:
            tables[link_table(entity, column.name)[0]] = entity
    return tables


def _is_published(edit: Edit) -> bool:
    """Whether the list of what is not covered has the edit."""
    entity = _covered_tables()[edit.table]
    listed = PARTLY_COVERED[entity]
    if edit.is_booking_charge:
        return BOOKING_CHARGE in listed
    if edit.table != table_name(entity):
        names = {link_table(entity, c.name)[0]: c.name for c in entity.meta().collection_columns}
        return names[edit.table] in listed
    if edit.kind in (DELETE, COPY):
        return (DELETED_ROW if edit.kind == DELETE else INSERTED_ROW) in listed
    names = {column_name(column): column.name for column in entity.meta().stored_columns}
    return names.get(edit.column, edit.column) in listed


async def _kept_checkpoint(store: Store) -> Checkpoint:
    async with store.read_session() as session:
        found = await latest_checkpoint(session)
    assert found is not None
    return found.checkpoint


async def test_edits_of_a_sqlite_file_are_found_or_published(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/creditdesk.db", migrated=True)
    assert isinstance(store, SQLiteStore)
    await create_full_ledger(store)
    kept = await _kept_checkpoint(store)
    report = CollectingReporter()
    await verify_ledger(store, report)
    database = _EditedSQLite(store)
    assert report.problems == []
    missed, made = await _undetected(database, kept, 1000)
    await store.close()
    assert [str(edit) for edit in missed if not _is_published(edit)] == []
    assert {table_name(entity) for entity in PARTLY_COVERED} <= made.keys()


async def test_edits_of_a_postgresql_database_are_found_or_published(new_database: NewDatabase) -> None:
    with new_database("postgresql") as url:
        store = await open_store(url)
        assert isinstance(store, PostgreSQLStore)
        await create_full_ledger(store)
        kept = await _kept_checkpoint(store)
        async with store.pool.acquire() as connection:
            database = _EditedPostgreSQL(store, connection)
            await database.drop_guards()
            missed, _ = await _undetected(database, kept, 150)
            await connection.execute("SET session_replication_role = DEFAULT")
        await store.close()
    assert [str(edit) for edit in missed if not _is_published(edit)] == []


def test_the_published_list_names_what_exists_with_a_reason() -> None:
    for entity, listed in PARTLY_COVERED.items():
        meta = entity.meta()
        known = {column.name for column in (*meta.stored_columns, *meta.collection_columns)}
        assert {name for name in listed if name.isidentifier()} <= known, entity.__name__
        assert all(reason.endswith(".") for reason in listed.values())
    assert set(PARTLY_COVERED) <= set(declared_entities())


@pytest.mark.parametrize("entity", PARTLY_COVERED, ids=lambda entity: entity.__name__)
def test_balances_and_identity_are_never_in_the_list(entity: type[Entity]) -> None:
    always = {"RemainingCredit", "TotalCredit", "RemainingUses", "TotalUses", "CreditUsed", "Amount", "Held", "Digest"}
    assert not always & set(PARTLY_COVERED[entity])
