"""`make bench`: starts its own PostgreSQL and servers, measures each path in turn with its ceiling,
prints a table and writes docs/performance.md. Everything it starts listens on loopback or a socket
and is stopped by its pid."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import machine, report
from benchmarks.engines import ENGINES, USUAL_WORKERS, Engine, filled, place, running
from benchmarks.filling import Filled
from benchmarks.load import Load, generator_name, put_under_load
from benchmarks.machine import MOST_FOREIGN_CORES, Watch, resident_megabytes, tree_seconds
from benchmarks.paths import Way, ways
from benchmarks.samples import Measured, Sample
from benchmarks.server import Server, answer, serving

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
    folder: Path | None


def main(arguments: Sequence[str] | None = None) -> int:
    plan = _plan(arguments)
    # Ends like an interrupt does: what was started is stopped, the folders go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = [machine.described(), f"Load: {generator_name()}, {plan.clients} connections",
             f"{plan.rounds} rounds of {plan.seconds:g} s for each figure, ours and the ceiling's "
             "in turn"]  # fmt: skip
    results: list[Measured] = []
    try:
        for name in plan.engines:
            with (
                place(plan.folder, f"{name}-{plan.rows}") as folder,
                running(name, plan.clients, folder) as engine,
            ):
                facts.append(engine.title)
                results.extend(_measure_engine(engine, plan, folder, facts))
    finally:
        # A run that was cut short keeps what it found.
        if results:
            now, told = datetime.now(UTC), plan.out == _PAGE
            plan.out.write_text(report.page(results, facts, _command(plan), now, told=told))
    print()
    for engine_name in plan.engines:
        found = [m for m in results if m.engine == engine_name]
        print(f"{engine_name}\n{report.screen_table(found)}\n")
    print(f"Written to {plan.out}")
    failed = [m for m in results if any(sample.errors for sample in m.ours)]
    for measured in failed:
        print(f"{measured.engine} {measured.path}: some answers were errors", file=sys.stderr)
    return 1 if failed else 0


def _measure_engine(
    engine: Engine, plan: Plan, folder: Path, facts: list[str]
) -> Iterator[Measured]:
    print(f"{engine.name}: filling", flush=True)
    there = filled(engine, plan.rows)
    workers = plan.workers or USUAL_WORKERS[engine.name]
    with serving(engine.url, workers, folder / "server.log") as server:
        at_first = resident_megabytes(server.pid)
        for way in ways(there, engine.dialect):
            if not plan.paths or way.name in plan.paths:
                yield _measure(engine, plan, folder, there, server, way)
        after = resident_megabytes(server.pid)
    facts.append(
        f"{engine.name}: {workers} worker{'s' if workers > 1 else ''}, "
        f"{there.uses:,} uses of money credit; ready {server.ready_seconds:.1f} s after its start; "
        f"resident memory of each worker {_listed(at_first)} MB at first, {_listed(after)} MB after "
        "the load"
    )


def _listed(megabytes: Sequence[float]) -> str:
    return " and ".join(f"{each:.0f}" for each in megabytes)


def _measure(
    engine: Engine, plan: Plan, folder: Path, there: Filled, server: Server, way: Way
) -> Measured:
    status, body = answer(server.port, there.token, way.asks[0])
    if status != 200:
        raise RuntimeError(f"{way.name}: answered {status}: {body[:500]!r}")

    def ours(seconds: float) -> Sample:
        load = Load(way.asks, server.port, there.token, plan.clients, seconds, way.keyed, folder)
        before = tree_seconds(server.pid), sum(tree_seconds(pid) for pid in engine.pids)
        found = put_under_load(load)
        answers = max(1.0, found.per_second * seconds)
        spent = tree_seconds(server.pid) - before[0]
        behind = sum(tree_seconds(pid) for pid in engine.pids) - before[1]
        return replace(
            found,
            server_cpu_microseconds=1e6 * spent / answers,
            database_cpu_microseconds=1e6 * behind / answers,
        )

    ours(_WARM_SECONDS)
    pids = (*engine.pids, server.pid)
    taken: list[Sample] = []
    best: list[Sample] = []
    for _ in range(plan.rounds):
        taken.append(_quiet(partial(ours, plan.seconds), pids))
        if ceiling := way.ceiling:
            best.append(_quiet(partial(engine.ceiling, ceiling, plan.seconds), pids))
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


def _command(plan: Plan) -> str:
    """What measures the same again, without where it is kept and written."""
    engine = f" --engine {plan.engines[0]}" if len(plan.engines) == 1 else ""
    length = f"--seconds {plan.seconds:g} --rounds {plan.rounds}"
    return f"python -m benchmarks.run{engine} --rows {plan.rows} {length}"


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the database")
    parser.add_argument("--clients", type=int, default=64, help="connections that ask at once")
    parser.add_argument("--workers", type=int, help="processes of the server; else 1 and 2")
    parser.add_argument("--paths", default="", help="only these, by name, with commas between")
    parser.add_argument("--seconds", type=float, default=3, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples for each figure")
    parser.add_argument("--out", type=Path, default=_PAGE, help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    told = parser.parse_args(arguments)
    return Plan(
        (told.engine,) if told.engine else ENGINES, told.rows, told.clients, told.workers,
        frozenset(word for word in told.paths.split(",") if word), told.seconds, told.rounds,
        told.out, told.folder,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
