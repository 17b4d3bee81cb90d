"""The ceiling of an import: an engine's own bulk writing of the same rows into a live schema.

`python -m benchmarks.copying FROM_URL TO_URL FOLDER` fills an empty, migrated database with what the
other one holds, in one transaction, with every index, reference and trigger standing as it does in
use, and prints as JSON how long it took. PostgreSQL: COPY of the binary form, from files. SQLite:
`executemany` of whole rows; the time in which they are read is left out.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg

from creditdesk.entities.ledger.credit_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite
from creditdesk.storage.naming import table_name
from creditdesk.storage.tables import Table, tables
from creditdesk.sync.order import loading_order

JOURNAL: Final = (CreditState, JournalLine)
"""What files do not carry: an import makes it from credits and uses."""
_ROWS_AT_ONCE: Final = 10_000


def copied_tables(dialect: Dialect) -> list[Table]:
    """Every table that an import fills, each after those it refers to."""
    found = list(tables((*loading_order(), *JOURNAL), dialect))
    own = {table_name(entity) for entity in (*loading_order(), *JOURNAL)}
    return sorted(found, key=lambda table: table.name not in own)


async def _postgresql(source: str, target: str, folder: Path) -> Iterator[tuple[str, int, float]]:
    names = [(t.name, [c.name for c in t.columns]) for t in copied_tables(PostgreSQL())]
    there = await asyncpg.connect(source)
    try:
        for table, columns in names:
            await there.copy_from_table(
                table, columns=columns, output=folder / table, format="binary"
            )
    finally:
        await there.close()
    told = []
    here = await asyncpg.connect(target)
    try:
        async with here.transaction():
            for table, columns in names:
                began = time.monotonic()
                done = await here.copy_to_table(
                    table, columns=columns, source=folder / table, format="binary"
                )
                told.append((table, int(done.split()[1]), time.monotonic() - began))
            began = time.monotonic()
        told.append(("commit", 0, time.monotonic() - began))
    finally:
        await here.close()
    return iter(told)


def _sqlite(source: Path, target: Path) -> Iterator[tuple[str, int, float]]:
    there = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    here = sqlite3.connect(target, isolation_level=None)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -65536"):
        here.execute(f"PRAGMA {pragma}")
    here.execute("BEGIN IMMEDIATE")
    for table in copied_tables(SQLite()):
        names = [column.name for column in table.columns]
        text = (
            f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        )
        rows, took = 0, 0.0
        found = there.execute(f"SELECT {', '.join(names)} FROM {table.name}")
        while batch := found.fetchmany(_ROWS_AT_ONCE):
            began = time.monotonic()
            here.executemany(text, batch)
            took += time.monotonic() - began
            rows += len(batch)
        yield table.name, rows, took
    began = time.monotonic()
    here.execute("COMMIT")
    yield "commit", 0, time.monotonic() - began
    here.close()
    there.close()


def main() -> int:
    source, target, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if source.startswith("sqlite:///"):
        files = [Path(url.removeprefix("sqlite:///")) for url in (source, target)]
        told = list(_sqlite(*files))
    else:
        told = list(asyncio.run(_postgresql(source, target, folder)))
    journal = {table_name(entity) for entity in JOURNAL}
    print(
        json.dumps(
            {
                "rows": sum(rows for _, rows, _ in told),
                "seconds": sum(took for *_, took in told),
                "journal_rows": sum(rows for name, rows, _ in told if name in journal),
                "journal_seconds": sum(took for name, _, took in told if name in journal),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
