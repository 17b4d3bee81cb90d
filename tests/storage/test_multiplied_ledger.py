"""The large ledgers of the benchmarks: copies of rows that fit like the rows they were made from."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.copied_rows import COPIED_ENTITIES
from benchmarks.multiply import find_mismatches, multiply_rows, postgresql_copying, sqlite_copying

from creditdesk.demo.load import load_demo
from creditdesk.entities.catalog import CATALOG
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.reports.catalog import run_report
from creditdesk.reports.daily_totals_job import store_daily_totals
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import Principal
from creditdesk.storage.denormalization import stale_query
from creditdesk.storage.dialects import Dialect, Execute, PostgreSQL, SQLite
from creditdesk.storage.engine import open_store
from tests.support.databases import run_sql

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
TIMES = 3


async def test_copies_fit_like_the_rows_they_were_made_from(database: str, tmp_path: Path) -> None:
    """References, copied values, counters and the totals of reports hold over all rows."""
    dialect: Dialect = SQLite() if database.startswith("sqlite") else PostgreSQL()
    store = await open_store(database)
    try:
        await load_demo(store, 400, 1, NullReporter())
        await store_daily_totals(store, NOW)
        before = await _report(store, "liability", {"By": "funding"})
        customers = await _count_customers(store)
        assert await _filled_dependents(store) <= set(COPIED_ENTITIES)
    finally:
        await store.close()
    async with _copying(database, tmp_path) as execute:
        await multiply_rows(execute, dialect, TIMES, "original." if dialect.name == "sqlite" else "")
        assert await find_mismatches(execute, dialect) == []
        for entity in CATALOG:
            if entity.meta().denormalized_columns:
                query = stale_query(entity, dialect).numbered(dialect).bind((0, 1))
                assert list(await execute(query.text, query.values)) == [], entity.__name__
    if dialect.name == "sqlite":
        # PostgreSQL has checked them as they were added again.
        assert await run_sql(database, "PRAGMA foreign_key_check") == []
    store = await open_store(database)
    try:
        after = await _report(store, "liability", {"By": "funding"})
        assert after.rows == tuple(_multiplied(row) for row in before.rows)
        by_credit = await _report(store, "liability", {})
        assert _amounts(by_credit.totals) == _amounts(after.totals)
        async with store.write_session() as session:
            record = new_record(Coworker, {"FullName": "Next"}, NOW, "test")
            assert await session.insert(Coworker, [record]) == [TIMES * customers + 1]
    finally:
        await store.close()


@asynccontextmanager
async def _copying(database: str, folder: Path) -> AsyncIterator[Execute]:
    if not database.startswith("sqlite"):
        async with postgresql_copying(database) as execute:
            yield execute
        return
    file, original = Path(database.removeprefix("sqlite:///")), folder / "original.db"
    shutil.copyfile(file, original)
    async with sqlite_copying(file, original) as execute:
        yield execute


async def _report(store: Store, name: str, values: dict[str, Any]) -> ReportResult:
    request = parse_report_request(name, values, Principal(0, "test@example.com", unrestricted=True), NOW)

    async def compute(session: ReadSession) -> ReportResult:
        return await run_report(session, request)

    return await store.read_detached(compute)


async def _count_customers(store: Store) -> int:
    async with store.read_session() as session:
        return await session.count(Coworker)


async def _filled_dependents(store: Store) -> set[type[Entity]]:
    """The entities that the demo fills and that refer to copied ones."""
    copied = {entity.__name__ for entity in COPIED_ENTITIES}
    async with store.read_session() as session:
        return {
            entity
            for entity in CATALOG
            if copied & {getattr(column.field, "to", "") for column in entity.meta().stored_columns}
            and await session.count(entity)
        }


def _multiplied(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(cell * TIMES if isinstance(cell, int | Decimal) else cell for cell in row)


def _amounts(rows: Sequence[Sequence[Any]]) -> list[list[Decimal]]:
    return [[cell for cell in row if isinstance(cell, Decimal)] for row in rows]
