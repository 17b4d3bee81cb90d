"""Measures each path of a running server in turn with its ceiling (`make bench`).

Starts its own PostgreSQL and servers, which listen on loopback or a socket and are stopped by their
process ids. Prints a table and writes benchmarks/results/performance.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import machine, report
from benchmarks.empty_application import running_empty_application
from benchmarks.engines import (
    DEFAULT_WORKERS,
    ENGINES,
    MeasuredEngine,
    database_folder,
    running_engine,
    seed_engine,
)
from benchmarks.load import LoadPlan, generator_name, measure_load
from benchmarks.machine import (
    MAX_FOREIGN_CORES,
    ForeignLoadMonitor,
    resident_megabytes,
    tree_seconds,
)
from benchmarks.samples import Measurement, Sample
from benchmarks.scenarios import Scenario, all_scenarios
from benchmarks.seeding import SeedData
from benchmarks.server import BenchmarkServer, running_server, send_and_read, send_request

_OUTPUT: Final = report.RESULTS / "performance.md"
_MAX_TRIES: Final = 2
_SERVER_WARMUP_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run."""

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
    plan = _parse_options(arguments)
    # Ends like an interrupt: stops what was started and removes temporary folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = [machine.describe_machine(), f"Load: {generator_name()}, {plan.clients} connections",
             f"{plan.rounds} rounds of {plan.seconds:g} s for each figure, ours and the ceiling's "
             "in turn"]  # fmt: skip
    results: list[Measurement] = []
    try:
        for name in plan.engines:
            with (
                database_folder(plan.folder, f"{name}-{plan.rows}") as folder,
                running_engine(name, plan.clients, folder) as engine,
            ):
                facts.append(engine.title)
                results.extend(_measure_engine(engine, plan, folder, facts))
    finally:
        # An interrupted run keeps its figures.
        if results:
            page = report.render_page(results, facts, _command(plan), datetime.now(UTC))
            plan.out.write_text(page)
    print()
    for engine_name in plan.engines:
        found = [m for m in results if m.engine == engine_name]
        print(f"{engine_name}\n{report.screen_table(found)}\n")
    print(f"Written to {plan.out}")
    failed = [m for m in results if any(sample.errors for sample in m.server)]
    for measured in failed:
        print(f"{measured.engine} {measured.path}: some responses were errors", file=sys.stderr)
    return 1 if failed else 0


def _measure_engine(engine: MeasuredEngine, plan: RunOptions, folder: Path, facts: list[str]) -> Iterator[Measurement]:
    print(f"{engine.name}: filling", flush=True)
    there = seed_engine(engine, plan.rows)
    workers = plan.workers or DEFAULT_WORKERS[engine.name]
    with running_server(engine.url, workers, folder / "server.log") as server:
        at_first = resident_megabytes(server.pid)
        for way in _scenarios(there, engine):
            if not plan.paths or way.name in plan.paths:
                with _running_ceiling(engine, plan, folder, there, server, way) as measure_best:
                    yield _measure_scenario(engine, plan, folder, there, server, way, measure_best)
        after = resident_megabytes(server.pid)
    facts.append(
        f"{engine.name}: {workers} worker{'s' if workers > 1 else ''}, "
        f"{there.uses:,} uses of money credit; ready {server.ready_seconds:.1f} s after its start; "
        f"resident memory of each worker {_format_megabytes(at_first)} MB at first, {_format_megabytes(after)} MB after "
        "the load"
    )


def _scenarios(there: SeedData, engine: MeasuredEngine) -> Iterator[Scenario]:
    for way in all_scenarios(there, engine.dialect):
        yield way
        if way.name == "get":
            title = "get by id, beside an empty application on the same server"
            yield replace(way, name="served", title=title, ceiling=None, is_beside_empty=True)


@contextmanager
def _running_ceiling(
    engine: MeasuredEngine, plan: RunOptions, folder: Path, there: SeedData, server: BenchmarkServer, way: Scenario
) -> Iterator[Callable[[float], Sample] | None]:
    """What measures the ceiling of a scenario for some seconds, if it has one."""
    if way.is_beside_empty:
        answer, body = send_and_read(server.port, there.token, way.requests[0])
        workers = plan.workers or DEFAULT_WORKERS[engine.name]
        with running_empty_application(answer, body, workers, folder) as port:
            yield lambda seconds: measure_load(
                LoadPlan(way.requests, port, there.token, plan.clients, seconds, False, folder)
            )
    else:
        yield partial(engine.measure_ceiling, way.ceiling) if way.ceiling else None


def _format_megabytes(megabytes: Sequence[float]) -> str:
    return " and ".join(f"{each:.0f}" for each in megabytes)


def _measure_scenario(
    engine: MeasuredEngine,
    plan: RunOptions,
    folder: Path,
    there: SeedData,
    server: BenchmarkServer,
    way: Scenario,
    measure_best: Callable[[float], Sample] | None,
) -> Measurement:
    status, body = send_request(server.port, there.token, way.requests[0])
    if status != 200:
        raise RuntimeError(f"{way.name}: answered {status}: {body[:500]!r}")

    def ours(seconds: float) -> Sample:
        load = LoadPlan(
            way.requests,
            server.port,
            there.token,
            plan.clients,
            seconds,
            way.idempotency_keys,
            folder,
        )
        before = tree_seconds(server.pid), sum(tree_seconds(pid) for pid in engine.pids)
        found = measure_load(load)
        answers = max(1.0, found.per_second * seconds)
        spent = tree_seconds(server.pid) - before[0]
        behind = sum(tree_seconds(pid) for pid in engine.pids) - before[1]
        return replace(
            found,
            server_cpu_microseconds=1e6 * spent / answers,
            database_cpu_microseconds=1e6 * behind / answers,
        )

    ours(_SERVER_WARMUP_SECONDS)
    pids = (*engine.pids, server.pid)
    taken: list[Sample] = []
    best: list[Sample] = []
    for _ in range(plan.rounds):
        taken.append(_take_quiet_sample(partial(ours, plan.seconds), pids))
        if measure_best:
            best.append(_take_quiet_sample(partial(measure_best, plan.seconds), pids))
    measured = Measurement(engine.name, way.name, way.title, tuple(taken), tuple(best))
    print("  ".join(report.table_row(measured)), flush=True)
    return measured


def _take_quiet_sample(take: Callable[[], Sample], pids: Sequence[int]) -> Sample:
    """A sample with little other load on the machine; the quietest of _MAX_TRIES."""
    tried: list[Sample] = []
    for _ in range(_MAX_TRIES):
        with ForeignLoadMonitor(pids) as watch:
            found = take()
        tried.append(replace(found, foreign_cores=watch.foreign_cores))
        if watch.foreign_cores <= MAX_FOREIGN_CORES:
            break
    return min(tried, key=lambda sample: sample.foreign_cores)


def _command(plan: RunOptions) -> str:
    """The command that repeats the measurement, without its output paths."""
    engine = f" --engine {plan.engines[0]}" if len(plan.engines) == 1 else ""
    length = f"--seconds {plan.seconds:g} --rounds {plan.rounds}"
    return f"python -m benchmarks.run{engine} --rows {plan.rows} {length}"


def _parse_options(arguments: Sequence[str] | None) -> RunOptions:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the database")
    parser.add_argument("--clients", type=int, default=64, help="connections that ask at once")
    parser.add_argument("--workers", type=int, help="processes of the server; else 1 and 2")
    parser.add_argument("--paths", default="", help="only these, by name, with commas between")
    parser.add_argument("--seconds", type=float, default=3, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples for each figure")
    parser.add_argument("--out", type=Path, default=_OUTPUT, help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    options = parser.parse_args(arguments)
    return RunOptions(
        (options.engine,) if options.engine else ENGINES, options.rows, options.clients, options.workers,
        frozenset(word for word in options.paths.split(",") if word), options.seconds, options.rounds,
        options.out, options.folder,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
