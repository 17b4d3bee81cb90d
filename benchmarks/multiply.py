"""Makes a large ledger quickly: a settled demo, and copies of what its customers have.

`python -m benchmarks.multiply --rows 100000 --times 10,100 --folder FOLDER` fills FOLDER/sqlite-100000 and
FOLDER/postgresql-100000 with the demo unless they stand, and makes the databases of a million and ten million
uses beside them, where other benchmarks find them with `--folder FOLDER`. Rows are copied by SQL under new ids. A
copy has the digests of the row it was made from, so `verify` does not hold over such a ledger. Indexes,
references, row counters and the totals of ended days do: foreign keys and counters are checked at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import asyncpg

from benchmarks import postgres
from benchmarks.copied_rows import COPIED_ENTITIES, UNIQUE_ID_MARKS, RowCopy
from benchmarks.engines import ENGINES, database_folder, running_engine
from creditdesk.demo.load import load_demo
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.reports.daily_totals_job import store_daily_totals
from creditdesk.schema.progress import NullReporter
from creditdesk.storage.bulk_load import suspend
from creditdesk.storage.dialects import Dialect, Execute, PostgreSQL, SQLite
from creditdesk.storage.engine import open_store
from creditdesk.storage.naming import table_name
from creditdesk.storage.tables import counted_tables

_SEED: Final = 1
_ORIGINAL: Final = "original."
_SQLITE_PRAGMAS: Final = ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000")
_POSTGRES_SETTINGS: Final = ("fsync = off", "full_page_writes = off", "synchronous_commit = off", "autovacuum = off")
"""Undone by the next start; a database that was not finished is thrown away."""


async def multiply_rows(execute: Execute, dialect: Dialect, times: int, source: str = "") -> None:
    """Adds copies until there are `times` as many rows as now, inside the caller's transaction.

    The connection reads the rows as they were before from the tables with the prefix `source`.
    """
    steps = {entity.__name__: await _highest(execute, table_name(entity), "id") for entity in COPIED_ENTITIES}
    numbers = await _highest(execute, "booking", "booking_number")
    copies = [RowCopy(number, steps, numbers) for number in range(1, times)]
    started = monotonic()
    async with suspend(execute, dialect, COPIED_ENTITIES):
        for copy in copies:
            for statement in copy.insert_statements(source):
                await execute(statement, ())
        print(f"rows copied in {monotonic() - started:.0f} s", flush=True)
    await _multiply_totals(execute, dialect, copies)
    await execute(f"UPDATE booking_sequence SET last_number = last_number + {numbers * (times - 1)}", ())
    for entity in COPIED_ENTITIES:
        highest = await _highest(execute, table_name(entity), "id")
        if dialect.name == "postgresql":
            await execute(f"SELECT setval('{table_name(entity)}_ids', {highest})", ())
        else:
            await execute(f"UPDATE id_sequence SET last = {highest} WHERE name = '{table_name(entity)}'", ())


async def _highest(execute: Execute, table: str, column: str) -> int:
    return int((await execute(f"SELECT coalesce(max({column}), 0) FROM {table}", ()))[0][0])


async def _multiply_totals(execute: Execute, dialect: Dialect, copies: Sequence[RowCopy]) -> None:
    """The totals of ended days: every sum so many times; the heads are those of the first copy."""
    times = len(copies) + 1
    rows = await execute("SELECT id, totals, changed FROM daily_total", ())
    places = [dialect.placeholder(position) for position in (1, 2, 3, 4)]
    for day, totals, changed in rows:
        summed = {group: [value * times for value in values] for group, values in json.loads(totals).items()}
        accounts = [
            [kind, credit_id + number * _credit_step(copies, kind)]
            for number in range(times)
            for kind, credit_id in json.loads(changed or "[]")
        ]
        await execute(
            f"UPDATE daily_total SET entries = entries * {places[0]}, totals = {places[1]}, changed = {places[2]} "
            f"WHERE id = {places[3]}",
            (times, json.dumps(summed), json.dumps(accounts) if accounts else None, day),
        )


def _credit_step(copies: Sequence[RowCopy], kind: str) -> int:
    return copies[0].steps["CoworkerBookingCredit" if kind == AccountType.MONEY else "CoworkerExtraService"]


async def find_mismatches(execute: Execute, dialect: Dialect) -> list[Sequence[Any]]:
    """The row counters that differ from the rows."""
    return [
        row for each in counted_tables(COPIED_ENTITIES) for row in await execute(dialect.counters.mismatches(each), ())
    ]


@asynccontextmanager
async def sqlite_copying(file: Path, original: Path) -> AsyncIterator[Execute]:
    """A transaction over a database file that reads another one as `original`."""
    connection = sqlite3.connect(file, isolation_level=None)

    async def execute(text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return connection.execute(text, values).fetchall()

    try:
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("ATTACH ? AS original", (str(original),))
        connection.execute("BEGIN")
        yield execute
        connection.execute("COMMIT")
        connection.execute("PRAGMA analysis_limit = 1000")
        connection.execute("ANALYZE main")
    finally:
        connection.close()


@asynccontextmanager
async def postgresql_copying(url: str) -> AsyncIterator[Execute]:
    """A transaction on a connection without a limit of time."""
    connection = await asyncpg.connect(url)

    async def execute(text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return [tuple(row) for row in await connection.fetch(text, *values)]

    try:
        async with connection.transaction():
            yield execute
    finally:
        await connection.close()


async def _fill(url: str, rows: int) -> None:
    """The demo with the totals of its days, unless the database holds records."""
    store = await open_store(url, migrated=True)
    try:
        async with store.read_session() as session:
            if await session.count(Coworker):
                return
        now = datetime.now(UTC)
        await load_demo(store, rows, _SEED, NullReporter(), until=now.date())
        await store_daily_totals(store, now)
    finally:
        await store.close()


async def _multiply_sqlite(original: Path, target: Path, times: int) -> None:
    shutil.copyfile(original, target)
    dialect = SQLite()
    async with sqlite_copying(target, original) as execute:
        await multiply_rows(execute, dialect, times, _ORIGINAL)
    async with sqlite_copying(target, original) as execute:
        _require_none(await find_mismatches(execute, dialect))


async def _multiply_postgresql(url: str, times: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in _POSTGRES_SETTINGS:
            await connection.execute(f"ALTER SYSTEM SET {setting}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    dialect = PostgreSQL()
    async with postgresql_copying(url) as execute:
        await multiply_rows(execute, dialect, times)
    async with postgresql_copying(url) as execute:
        _require_none(await find_mismatches(execute, dialect))
    await postgres.settle(url)


def _require_none(mismatches: list[Sequence[Any]]) -> None:
    if mismatches:
        raise RuntimeError(f"row counters differ from the rows: {mismatches[:3]}")


def fill_database(engine: str, rows: int, folder: Path) -> Path:
    """The folder of the demo with `rows` uses under `folder`, filled and settled unless it stands."""
    with (
        database_folder(folder, f"{engine}-{rows}") as original,
        running_engine(engine, 1, original) as running,
    ):
        asyncio.run(_fill(running.url, rows))
        if engine == "postgresql":
            asyncio.run(postgres.settle(running.url))
    return original


def multiply_database(engine: str, original: Path, target: Path, times: int) -> None:
    """Makes a database with `times` as many rows. Raises FileExistsError where the target stands."""
    target.mkdir()
    if engine == "sqlite":
        asyncio.run(_multiply_sqlite(original / "bench.db", target / "bench.db", times))
        return
    _copy_owned(original / "data", target / "data")
    with running_engine(engine, 1, target) as running:
        asyncio.run(_multiply_postgresql(running.url, times))


def _copy_owned(original: Path, target: Path) -> None:
    """Copies a folder with its owner: PostgreSQL runs as a user of its own where this process is root."""
    shutil.copytree(original, target)
    owner = original.stat()
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multiply", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the demo")
    parser.add_argument("--times", default="10,100", help="how many times as many uses, with commas between")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--folder", type=Path, required=True, help="where the databases are kept")
    options = parser.parse_args()
    wanted = [int(word) for word in options.times.split(",")]
    if not 2 <= min(wanted) <= max(wanted) <= len(UNIQUE_ID_MARKS) + 1:
        parser.error(f"--times is 2 to {len(UNIQUE_ID_MARKS) + 1}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for engine in (options.engine,) if options.engine else ENGINES:
        original = fill_database(engine, options.rows, options.folder)
        for times in wanted:
            started, rows = monotonic(), options.rows * times
            multiply_database(engine, original, options.folder / f"{engine}-{rows}", times)
            print(f"{engine}: {rows:,} uses in {monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
