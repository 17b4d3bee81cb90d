"""Migrations beside running servers: expand and contract steps, interruptions, locks, invalid indexes."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.sys.currency import Currency
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.engine import migrate_database, migration_steps, open_store, planned_changes
from creditdesk.storage.migrations import (
    LATEST_VERSION,
    LocksUnavailable,
    OlderDatabase,
    OnlineTarget,
    SchemaConnection,
    StepKind,
    migrate,
    target,
)
from creditdesk.storage.schema_connections import PostgreSQLSchemaConnection, SQLiteSchemaConnection
from creditdesk.storage.sqlite import SQLiteStore
from tests.storage.denormalization_support import DENORMALIZED_ENTITIES, rows_from_before, strip_copies
from tests.storage.test_saved_databases import Saved, saved, schema_names
from tests.support.databases import run_sql
from tests.support.progress import CollectingReporter
from tests.support.server_process import ENCRYPTION_KEY

__all__ = ["saved"]

APPLIED_ON = "2026-11-29T00:00:00+00:00"


@asynccontextmanager
async def schema_connection(url: str) -> AsyncIterator[SchemaConnection]:
    if url.startswith("sqlite"):
        store = SQLiteStore(url.removeprefix("sqlite:///"))
        try:
            yield SQLiteSchemaConnection(store)
        finally:
            await store.close()
        return
    connection = await asyncpg.connect(url)
    try:
        yield PostgreSQLSchemaConnection(connection)
    finally:
        await connection.close()


class KilledError(Exception):
    """The process ends here."""


class KilledConnection:
    """Ends before its last transaction, or statement outside of one, takes effect."""

    def __init__(self, connection: SchemaConnection, transactions: int) -> None:
        self.dialect: Dialect = connection.dialect
        self._connection = connection
        self._left = transactions

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Execute]:
        async with self._connection.transaction() as execute:
            yield execute
            self._count()

    async def execute_alone(self, text: str) -> None:
        self._count()
        await self._connection.execute_alone(text)

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise KilledError


async def migrate_with_kills(url: str, *, contract: bool) -> int:
    """Runs a migration that is killed at its first transaction, then at its sixth, and so on."""
    kills = 0
    async with schema_connection(url) as connection:
        while True:
            killed = KilledConnection(connection, 5 * kills + 1)
            try:
                await migrate(OnlineTarget(killed, lambda _title: None), APPLIED_ON, contract=contract)
            except KilledError:
                kills += 1
            else:
                return kills


async def test_killed_migration_goes_on_where_it_ended(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_BATCH_ROWS", "MAX_BATCH_ROWS"):
        monkeypatch.setattr(target, name, 40)
    assert await migrate_with_kills(saved.url, contract=False) > 5
    assert await migrate_with_kills(saved.url, contract=True) > 5
    assert await planned_changes(saved.url) == []
    names = await schema_names(saved.url)
    assert "journal_line_no_update" in names
    assert "migration_booking_number" not in names
    assert "credit_state" not in names
    rows = await run_sql(saved.url, "SELECT count(*) FROM journal_line WHERE cause IS NULL OR format_version IS NULL")
    assert rows == [(0,)]
    report = CollectingReporter()
    store = await open_store(saved.url)
    await verify_ledger(store, report)
    await store.close()
    assert report.problems == []


async def test_migrations_of_one_database_wait_for_each_other(saved: Saved) -> None:
    """The second process finds every step applied."""
    command = (sys.executable, "-m", "creditdesk", "migrate", "--contract", "--database", saved.url)
    environment = os.environ | {"CREDITDESK_AUTH_ENCRYPTION_KEY": ENCRYPTION_KEY}
    running = [
        await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE) for _ in range(2)
    ]
    ended = await asyncio.gather(*(process.communicate() for process in running))
    assert [process.returncode for process in running] == [0, 0], ended
    announced = [printed.decode().splitlines() for printed, _ in ended]
    assert min(announced, key=len) == ["What is declared and missing. (expand)", "The database is up to date."]
    if saved.url.startswith("sqlite"):
        assert not [each.name for each in Path(saved.url.removeprefix("sqlite:///")).parent.glob("*-migration")]


async def test_older_program_goes_on_until_the_contract_steps(saved: Saved) -> None:
    """Its tables and columns stay, its schema number too, and rows that it writes meanwhile are filled."""
    waiting = await migrate_database(saved.url, contract=False)
    assert [title.partition(" ")[0] for title in waiting] == [str(n) for n in range(10, LATEST_VERSION + 1)]
    assert await run_sql(saved.url, "SELECT max(number) FROM schema_version") == [(9,)]
    with pytest.raises(OlderDatabase):
        await open_store(saved.url)
    await run_sql(saved.url, "SELECT paid FROM credit_state")
    await run_sql(saved.url, "SELECT delivery_preferences_mail FROM tariff")
    assert await run_sql(saved.url, "SELECT count(*) FROM booking WHERE booking_number IS NULL") == [(0,)]
    columns = "created_on, updated_on, resource_id, from_time, to_time"
    await run_sql(
        saved.url,
        f"INSERT INTO booking (id, unique_id, {columns}) SELECT 9001, 'b9001', {columns} FROM booking WHERE id = 1",
    )
    assert await migrate_database(saved.url, contract=True) == []
    [(number, repeats)] = await run_sql(saved.url, "SELECT booking_number, repeats FROM booking WHERE id = 9001")
    [(highest,)] = await run_sql(
        saved.url,
        "SELECT max(booking_number) FROM booking AS b JOIN resource AS r ON r.id = b.resource_id WHERE r.business_id = "
        "(SELECT r.business_id FROM resource AS r JOIN booking AS b ON b.resource_id = r.id WHERE b.id = 9001)",
    )
    assert (number, repeats) == (highest, 2)
    await (await open_store(saved.url)).close()


async def test_rows_of_an_older_program_get_new_denormalized_values(empty: str) -> None:
    """Until `--contract`, a trigger fills what the older program's inserts leave out."""
    await (await open_store(empty, migrated=True)).close()
    await strip_copies(empty)
    [waiting] = await migrate_database(empty, contract=False)
    assert waiting.startswith("Drop the triggers")
    assert await migrate_database(empty, contract=False) == [waiting]
    await rows_from_before(empty)
    store = await open_store(empty)
    async with store.read_session() as reading:
        [use] = await reading.find(CoworkerBookingCreditUseHistory)
        for entity in DENORMALIZED_ENTITIES:
            assert await reading.stale(entity, 0, 10) == []
    assert use["CoworkerBookingCreditBusinessCurrencyCode"] == "EUR"
    assert use["CoworkerBookingCreditDescription"] == "Grant"
    async with store.write_session() as unit:
        await unit.update(Currency, [(1, {"Code": "CHF"})])
        assert await unit.stale(CoworkerBookingCreditUseHistory, 0, 10) == []
    await store.close()
    assert [name for name in await schema_names(empty) if name.endswith("_fill")]
    planned = await planned_changes(empty)
    assert [(change.title, change.kind) for change in planned] == [(waiting, StepKind.CONTRACT)]
    assert await migrate_database(empty, contract=True) == []
    assert not [name for name in await schema_names(empty) if name.endswith("_fill")]
    assert await planned_changes(empty) == []


async def test_journal_stays_append_only_while_causes_are_filled(saved: Saved) -> None:
    await migrate_database(saved.url, contract=False)
    with pytest.raises(Exception, match="append-only"):
        await run_sql(saved.url, "UPDATE journal_line SET amount = 0 WHERE id = 1")


async def test_plan_says_what_each_step_means_to_running_servers(saved: Saved) -> None:
    changes = {change.title.partition(" ")[0]: change for change in await planned_changes(saved.url)}
    assert changes["10"].kind is StepKind.CONTRACT
    assert changes["16"].kind is StepKind.EXPAND
    assert changes["16"].locked_tables == ["journal_line"]
    assert "journal_line" in changes["16"].filled
    assert changes["What"].indexes > 10


async def test_program_serves_a_newer_schema_that_only_expanded(empty: str) -> None:
    await (await open_store(empty, migrated=True)).close()
    columns = "number, name, applied_on, kind"
    later = LATEST_VERSION + 1
    await run_sql(empty, f"INSERT INTO schema_version ({columns}) VALUES ({later}, 'later', 'then', 'expand')")
    await (await open_store(empty)).close()
    assert await migrate_database(empty, contract=True) == []
    assert len([step for step in await migration_steps(empty) if step.applied_on]) == LATEST_VERSION


async def test_index_that_a_killed_build_left_invalid_is_built_again(empty_postgres: str) -> None:
    await (await open_store(empty_postgres, migrated=True)).close()
    index = "hold_created_on_ix"
    await run_sql(empty_postgres, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass")
    await (await open_store(empty_postgres, migrated=True)).close()
    valid = f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass"
    assert await run_sql(empty_postgres, valid) == [(True,)]


async def test_change_waits_for_a_lock_without_keeping_others_waiting(empty_postgres: str) -> None:
    await (await open_store(empty_postgres, migrated=True)).close()
    reader = await asyncpg.connect(empty_postgres)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("SELECT * FROM hold")
    tried = asyncio.Event()

    async def add_column(execute: Execute, _dialect: Dialect) -> None:
        tried.set()
        await execute("ALTER TABLE hold ADD COLUMN later BIGINT", ())

    async with schema_connection(empty_postgres) as connection:
        with pytest.raises(LocksUnavailable):
            async with connection.transaction() as execute:
                await add_column(execute, connection.dialect)
        tried.clear()
        change = asyncio.create_task(OnlineTarget(connection, lambda _title: None).change(add_column))
        await tried.wait()
        await transaction.rollback()
        await change
    await reader.close()
    assert await run_sql(empty_postgres, "SELECT count(later) FROM hold") == [(0,)]
