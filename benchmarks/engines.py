"""The engine under test: its database, how it is seeded, and how its ceiling is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import ceilings, postgres
from benchmarks.samples import Sample
from benchmarks.scenarios import Ceiling
from benchmarks.seeding import SeedData, seed
from creditdesk.cli.encryption_keys import settings_with_key
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite
from creditdesk.storage.engine import open_store

ENGINES: Final = ("sqlite", "postgresql")
DEFAULT_WORKERS: Final = {"sqlite": 1, "postgresql": 2}


@dataclass(frozen=True, slots=True)
class MeasuredEngine:
    """A running engine; `pids` are its processes, none for SQLite."""

    name: str
    title: str
    url: str
    dialect: Dialect
    pids: tuple[int, ...]
    measure_ceiling: Callable[[Ceiling, float], Sample]


@contextmanager
def database_folder(kept: Path | None, name: str) -> Iterator[Path]:
    """The folder of a database: a named one under `kept`, or a temporary one."""
    if kept is None:
        with TemporaryDirectory(prefix="creditdesk-bench-") as folder:
            yield Path(folder)
        return
    (kept / name).mkdir(parents=True, exist_ok=True)
    yield kept / name


@contextmanager
def running_engine(name: str, clients: int, folder: Path) -> Iterator[MeasuredEngine]:
    """Runs an engine over a folder during the block."""
    if name == "sqlite":
        file = folder / "bench.db"
        take = partial(ceilings.sqlite_loop, file)
        title = "SQLite in WAL mode, synchronous FULL; its ceiling is one bare loop in one process"
        yield MeasuredEngine(name, title, f"sqlite:///{file}", SQLite(), (), take)
        return
    with postgres.temporary_postgres(folder / "data") as own:

        def pgbench(ceiling: Ceiling, seconds: float) -> Sample:
            return ceilings.pgbench(own, ceiling, clients, seconds, folder / "pgbench")

        title = asyncio.run(postgres.describe_server(own.url))
        yield MeasuredEngine(name, title, own.url, PostgreSQL(), (own.pid,), pgbench)


def seed_engine(engine: MeasuredEngine, rows: int) -> SeedData:
    """Seeds an engine, and does the maintenance that would follow within minutes."""
    return asyncio.run(_seed_engine(engine, rows))


async def _seed_engine(engine: MeasuredEngine, rows: int) -> SeedData:
    store = await open_store(engine.url, migrated=True)
    try:
        found = await seed(store, rows, settings_with_key(engine.url).auth)
    finally:
        await store.close()
    if engine.name == "postgresql":
        await postgres.settle(engine.url)
    return found
