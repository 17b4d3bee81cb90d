"""What a use costs in bytes: `python -m benchmarks.capacity`.

Fills a database, or takes the one of an earlier run from `--folder`, and divides the size of each table and its indexes
by the number of uses. Then posts uses with keys, and divides the growth and the write-ahead log by their number; `make bench`
measures the processor time. Writes benchmarks/results/capacity.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import report
from benchmarks.engines import ENGINES, MeasuredEngine, database_folder, running_engine, seed_engine
from benchmarks.load import LoadPlan, measure_load
from benchmarks.machine import describe_machine
from benchmarks.scenarios import all_scenarios
from benchmarks.seeding import SeedData
from benchmarks.server import running_server

CLIENTS: Final = 64
WORKERS: Final = 2
WARM_UP_SECONDS: Final = 3.0
SHOWN_TABLES: Final = 12
USES: Final = ("coworker_booking_credit_use_history", "coworker_extra_service_use_history")
_SIZES: Final = {
    "sqlite": "SELECT s.tbl_name, sum(CASE WHEN s.type = 'table' THEN d.pgsize ELSE 0 END), "
    "sum(CASE WHEN s.type = 'index' THEN d.pgsize ELSE 0 END) "
    "FROM dbstat AS d JOIN sqlite_master AS s ON s.name = d.name WHERE d.aggregate = TRUE GROUP BY s.tbl_name",
    "postgresql": "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
}
"""Bytes of each table, and of its indexes."""


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Bytes of each table and of its indexes, the uses in them, and the position in the write-ahead log."""

    tables: Mapping[str, tuple[int, int]]
    uses: int
    log_bytes: int

    @property
    def total(self) -> int:
        return sum(table + index for table, index in self.tables.values())


@dataclass(frozen=True, slots=True)
class UseCost:
    """What one engine needs: at rest, and for each of the uses that were posted once the server was warm."""

    engine: MeasuredEngine
    at_rest: StoredBytes
    warm: StoredBytes
    grown: StoredBytes

    @property
    def posted(self) -> int:
        return self.grown.uses - self.warm.uses


def measure_bytes(engine: MeasuredEngine) -> StoredBytes:
    """The sizes of all tables as they are on the disk."""
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in USES)
    if engine.name == "sqlite":
        with closing(sqlite3.connect(engine.url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            rows = connection.execute(_SIZES[engine.name]).fetchall()
            [[uses]] = connection.execute(f"SELECT {counts}").fetchall()
        return StoredBytes({name: (table, index) for name, table, index in rows}, uses, 0)
    return asyncio.run(_measure_postgresql(engine.url, counts))


async def _measure_postgresql(url: str, counts: str) -> StoredBytes:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_SIZES["postgresql"])
        uses = await connection.fetchval(f"SELECT {counts}")
        log_bytes = int(await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
    finally:
        await connection.close()
    return StoredBytes({row[0]: (row[1], row[2]) for row in rows}, uses, log_bytes)


def post_uses(engine: MeasuredEngine, there: SeedData, folder: Path, seconds: float) -> UseCost:
    """Posts uses with keys for so long, after a warm-up."""
    [keyed] = [each for each in all_scenarios(there, engine.dialect) if each.name == "keyed"]
    at_rest = measure_bytes(engine)
    with running_server(engine.url, WORKERS, folder / "server.log") as server:
        load = LoadPlan(
            keyed.requests, server.port, there.token, CLIENTS, seconds, idempotency_keys=True, folder=folder
        )
        measure_load(replace(load, seconds=WARM_UP_SECONDS))
        warm = measure_bytes(engine)
        sample = measure_load(load)
    if sample.errors:
        raise RuntimeError(f"{sample.errors} of the uses were refused")
    return UseCost(engine, at_rest, warm, measure_bytes(engine))


def _table_rows(cost: UseCost) -> list[tuple[str, ...]]:
    uses = cost.at_rest.uses
    largest = sorted(cost.at_rest.tables.items(), key=lambda each: -sum(each[1]))
    rows = [(f"`{name}`", *(f"{size / uses:,.0f}" for size in (*sizes, sum(sizes)))) for name, sizes in largest]
    rest = [sizes for _, sizes in largest[SHOWN_TABLES:]]
    others = (sum(each[0] for each in rest), sum(each[1] for each in rest))
    total = tuple(sum(sizes[at] for sizes in cost.at_rest.tables.values()) for at in (0, 1))
    summed = [
        (name, *(f"{size / uses:,.0f}" for size in (*sizes, sum(sizes))))
        for name, sizes in (("all others", others), ("**all**", total))
    ]
    return [*rows[:SHOWN_TABLES], *summed]


def _posted_rows(costs: Sequence[UseCost]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for cost in costs:
        log_bytes = cost.grown.log_bytes - cost.warm.log_bytes
        rows.append(
            (
                cost.engine.name,
                f"{cost.posted:,}",
                f"{(cost.grown.total - cost.warm.total) / cost.posted:,.0f}",
                f"{log_bytes / cost.posted:,.0f}" if log_bytes else "",
            )
        )
    return rows


def render(costs: Sequence[UseCost]) -> str:
    """The page of one run."""
    columns = ("engine", "uses", "bytes", "log bytes")
    load = Path("/proc/loadavg").read_text().split()[0]
    lines = [
        "# Capacity",
        "",
        f"Written by `python -m benchmarks.capacity` on {datetime.now(UTC):%Y-%m-%d}. What the figures mean for a service:",
        "docs/explanation/capacity.md.",
        "",
        f"- {describe_machine()}; load average at the end {load}",
        *(f"- {cost.engine.title}; {cost.at_rest.uses:,} uses of both types" for cost in costs),
        "",
        "## A use that is posted with a key",
        "",
        "*Bytes* are the growth of the database, *log bytes* those of PostgreSQL's write-ahead log. A stored response is",
        "among them; it is removed after `api.stored_response_days`. The processor time of such a use is the line `keyed` of",
        "performance.md.",
        "",
        *report.markdown(columns, _posted_rows(costs)),
    ]
    for cost in costs:
        lines += ["", f"## Bytes at rest for each use: {cost.engine.name}", ""]
        lines += report.markdown(("table", "rows", "indexes", "both"), _table_rows(cost))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this one")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the demo, of both types")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long uses are posted")
    parser.add_argument("--folder", type=Path, help="keeps the databases for further runs")
    parser.add_argument("--out", type=Path, default=report.RESULTS / "capacity.md")
    options = parser.parse_args(arguments)
    costs = []
    for name in [options.engine] if options.engine else ENGINES:
        with (
            database_folder(options.folder, f"{name}-{options.rows}") as folder,
            running_engine(name, CLIENTS, folder) as engine,
        ):
            costs.append(post_uses(engine, seed_engine(engine, options.rows), folder, options.seconds))
    options.out.write_text(render(costs))
    print(options.out.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
