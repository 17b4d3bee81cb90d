"""The ceiling of an import: the engine's bulk writing of the same rows into a complete schema.

`python -m benchmarks.bulk_copy FROM_URL TO_URL FOLDER` copies the rows of one database into an
empty, migrated one, in one transaction, with every index, reference and trigger in place, and prints
the time as JSON. PostgreSQL: COPY of the binary form, from files. SQLite:
`executemany` of whole rows, without the time of reading them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite
from creditdesk.storage.naming import table_name
from creditdesk.storage.tables import Table, tables
from creditdesk.transfer.dependency_order import load_order

JOURNAL_ENTITIES: Final = (AccountState, JournalLine)
"""Entities that files do not contain: an import creates them from credits and uses."""
_BATCH_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """The time of copying one table; processor time includes the database's."""

    table: str
    rows: int
    seconds: float
    cpu_seconds: float


def import_tables(dialect: Dialect) -> list[Table]:
    """Every table that an import fills, after the tables it refers to."""
    found = list(tables((*load_order(), *JOURNAL_ENTITIES), dialect))
    own = {table_name(entity) for entity in (*load_order(), *JOURNAL_ENTITIES)}
    return sorted(found, key=lambda table: table.name not in own)


async def _postgresql(source: str, target: str, folder: Path) -> list[CopiedTable]:
    names = [(t.name, [c.name for c in t.columns]) for t in import_tables(PostgreSQL())]
    there = await asyncpg.connect(source)
    try:
        for table, columns in names:
            await there.copy_from_table(table, columns=columns, output=folder / table, format="binary")
    finally:
        await there.close()
    copied: list[CopiedTable] = []
    here = await asyncpg.connect(target)
    behind = psutil.Process(here.get_server_pid())

    def cpu() -> float:
        return time.process_time() + sum(behind.cpu_times()[:2])

    try:
        async with here.transaction():
            for table, columns in names:
                began, spent = time.monotonic(), cpu()
                done = await here.copy_to_table(table, columns=columns, source=folder / table, format="binary")
                rows = int(done.split()[1])
                copied.append(CopiedTable(table, rows, time.monotonic() - began, cpu() - spent))
            began, spent = time.monotonic(), cpu()
        copied.append(CopiedTable("commit", 0, time.monotonic() - began, cpu() - spent))
    finally:
        await here.close()
    return copied


def _sqlite(source: Path, target: Path) -> Iterator[CopiedTable]:
    there = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    here = sqlite3.connect(target, isolation_level=None)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -65536"):
        here.execute(f"PRAGMA {pragma}")
    here.execute("BEGIN IMMEDIATE")
    for table in import_tables(SQLite()):
        names = [column.name for column in table.columns]
        text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        rows, took, used = 0, 0.0, 0.0
        found = there.execute(f"SELECT {', '.join(names)} FROM {table.name}")
        while batch := found.fetchmany(_BATCH_ROWS):
            began, spent = time.monotonic(), time.process_time()
            here.executemany(text, batch)
            took += time.monotonic() - began
            used += time.process_time() - spent
            rows += len(batch)
        yield CopiedTable(table.name, rows, took, used)
    began, spent = time.monotonic(), time.process_time()
    here.execute("COMMIT")
    yield CopiedTable("commit", 0, time.monotonic() - began, time.process_time() - spent)
    here.close()
    there.close()


def main() -> int:
    source, target, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if source.startswith("sqlite:///"):
        paths = [Path(url.removeprefix("sqlite:///")) for url in (source, target)]
        copied = list(_sqlite(*paths))
    else:
        copied = list(asyncio.run(_postgresql(source, target, folder)))
    journal = {table_name(entity) for entity in JOURNAL_ENTITIES}
    files = [each for each in copied if each.table not in journal]
    found = {
        "rows": sum(each.rows for each in copied),
        "seconds": sum(each.seconds for each in copied),
        "cpu_seconds": sum(each.cpu_seconds for each in copied),
        "seconds_without_journal": sum(each.seconds for each in files),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
