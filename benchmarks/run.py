"""`make bench`: starts its own PostgreSQL and servers, measures each path in turn with its ceiling,
prints a table and writes docs/performance.md. Everything it starts listens on loopback or a socket
and is stopped by its pid."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import ceilings, machine, postgres, report
from benchmarks.filling import Filled, fill
from benchmarks.load import Load, generator_name, put_under_load
from benchmarks.machine import MOST_FOREIGN_CORES, Watch
from benchmarks.paths import Ceiling, Way, ways
from benchmarks.samples import Measured, Sample
from benchmarks.server import Server, answer, serving
from creditdesk.storage.dialects import Dialect, PostgreSQL, SQLite
from creditdesk.storage.engine import open_store

ENGINES: Final = ("sqlite", "postgresql")
USUAL_WORKERS: Final = {"sqlite": 1, "postgresql": 2}
_PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
_TRIES: Final = 2
_WARM_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    engines: tuple[str, ...]
    rows: int
    clients: int
    workers: int | None
    paths: frozenset[str]
    seconds: float
    rounds: int
    out: Path


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine while it is measured: where it is and how its ceiling is taken."""

    name: str
    title: str
    url: str
    dialect: Dialect
    pids: tuple[int, ...]
    ceiling: Callable[[Ceiling], Sample]


def main(arguments: Sequence[str] | None = None) -> int:
    plan = _plan(arguments)
    # Ends like an interrupt does: what was started is stopped, the folders go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = [machine.described(), f"Load: {generator_name()}, {plan.clients} connections",
             f"{plan.rounds} rounds of {plan.seconds:g} s for each figure, ours and the ceiling's "
             "in turn"]  # fmt: skip
    results: list[Measured] = []
    try:
        with tempfile.TemporaryDirectory(prefix="creditdesk-bench-") as name:
            for engine_name in plan.engines:
                folder = Path(name, engine_name)
                folder.mkdir()
                with _engine(engine_name, plan, folder) as engine:
                    facts.append(engine.title)
                    results.extend(_measure_engine(engine, plan, folder, facts))
    finally:
        # A run that was cut short keeps what it found.
        if results:
            plan.out.write_text(report.page(results, facts, datetime.now(UTC)))
    print()
    for engine_name in plan.engines:
        found = [m for m in results if m.engine == engine_name]
        print(f"{engine_name}\n{report.screen_table(found)}\n")
    print(f"Written to {plan.out}")
    failed = [m for m in results if any(sample.errors for sample in m.ours)]
    for measured in failed:
        print(f"{measured.engine} {measured.path}: some answers were errors", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def _engine(name: str, plan: Plan, folder: Path) -> Iterator[Engine]:
    if name == "sqlite":
        file = folder / "bench.db"
        take = partial(ceilings.sqlite_loop, file, seconds=plan.seconds)
        title = "SQLite in WAL mode, synchronous FULL; its ceiling is one bare loop in one process"
        yield Engine(name, title, f"sqlite:///{file}", SQLite(), (), take)
        return
    with postgres.own_postgres(folder / "data") as own:

        def pgbench(ceiling: Ceiling) -> Sample:
            return ceilings.pgbench(own, ceiling, plan.clients, plan.seconds, folder / "pgbench")

        title = asyncio.run(postgres.described(own.url))
        yield Engine(name, title, own.url, PostgreSQL(), (own.pid,), pgbench)


def _measure_engine(
    engine: Engine, plan: Plan, folder: Path, facts: list[str]
) -> Iterator[Measured]:
    print(f"{engine.name}: filling", flush=True)
    filled = asyncio.run(_filled(engine, plan.rows))
    workers = plan.workers or USUAL_WORKERS[engine.name]
    facts.append(
        f"{engine.name}: {workers} worker{'s' if workers > 1 else ''}, "
        f"{filled.uses:,} uses of money credit"
    )
    with serving(engine.url, workers, folder / "server.log") as server:
        for way in ways(filled, engine.dialect):
            if not plan.paths or way.name in plan.paths:
                yield _measure(engine, plan, folder, filled, server, way)


async def _filled(engine: Engine, rows: int) -> Filled:
    store = await open_store(engine.url, migrated=True)
    try:
        filled = await fill(store, rows)
    finally:
        await store.close()
    if engine.name == "postgresql":
        await postgres.settle(engine.url)
    return filled


def _measure(
    engine: Engine, plan: Plan, folder: Path, filled: Filled, server: Server, way: Way
) -> Measured:
    status, body = answer(server.port, filled.token, way.asks[0])
    if status != 200:
        raise RuntimeError(f"{way.name}: answered {status}: {body[:500]!r}")

    def ours(seconds: float) -> Sample:
        load = Load(way.asks, server.port, filled.token, plan.clients, seconds, way.keyed, folder)
        return put_under_load(load)

    ours(_WARM_SECONDS)
    pids = (*engine.pids, server.pid)
    taken: list[Sample] = []
    best: list[Sample] = []
    for _ in range(plan.rounds):
        taken.append(_quiet(partial(ours, plan.seconds), pids))
        if ceiling := way.ceiling:
            best.append(_quiet(partial(engine.ceiling, ceiling), pids))
    measured = Measured(engine.name, way.name, way.title, tuple(taken), tuple(best))
    print("  ".join(report.row(measured)), flush=True)
    return measured


def _quiet(take: Callable[[], Sample], pids: Sequence[int]) -> Sample:
    """A sample taken while the machine did little else; the quietest of a few tries."""
    tried: list[Sample] = []
    for _ in range(_TRIES):
        with Watch(pids) as watch:
            found = take()
        tried.append(replace(found, foreign_cores=watch.foreign_cores))
        if watch.foreign_cores <= MOST_FOREIGN_CORES:
            break
    return min(tried, key=lambda sample: sample.foreign_cores)


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the database")
    parser.add_argument("--clients", type=int, default=16, help="connections that ask at once")
    parser.add_argument("--workers", type=int, help="processes of the server; else 1 and 2")
    parser.add_argument("--paths", default="", help="only these, by name, with commas between")
    parser.add_argument("--seconds", type=float, default=3, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples for each figure")
    parser.add_argument("--out", type=Path, default=_PAGE, help="where the page is written")
    told = parser.parse_args(arguments)
    return Plan(
        (told.engine,) if told.engine else ENGINES, told.rows, told.clients, told.workers,
        frozenset(word for word in told.paths.split(",") if word), told.seconds, told.rounds,
        told.out,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
