"""How the latency of each path grows with the ledger, for one client.

`python -m benchmarks.growth --rows 10000,1000000` prints a table and writes
benchmarks/results/growth.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.engines import (
    DEFAULT_WORKERS,
    ENGINES,
    database_folder,
    running_engine,
    seed_engine,
)
from benchmarks.load import LoadPlan, measure_load
from benchmarks.report import RESULTS, markdown
from benchmarks.samples import Sample, p50, p99
from benchmarks.scenarios import all_scenarios
from benchmarks.server import running_server

_OUTPUT: Final = RESULTS / "growth.md"
_METHOD: Final = """# Growth

The latency that one client sees at several sizes of the ledger: one connection, so that no request
queues, and the median of the rounds. The sizes are measured in turn, so that all see the same machine.
Written by `python -m benchmarks.growth`; the paths are those of performance.md.
*Growth* is the median latency at the largest size over that at the smallest.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rows", default="10000,1000000", help="sizes, with commas between")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--paths", default="", help="only these, by name, with commas between")
    parser.add_argument("--seconds", type=float, default=2, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples for each figure")
    parser.add_argument("--out", type=Path, default=_OUTPUT, help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = [int(word) for word in options.rows.split(",")]
    chosen = frozenset(word for word in options.paths.split(",") if word)
    parts = [
        _METHOD,
        f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}.",
    ]
    for engine in (options.engine,) if options.engine else ENGINES:
        with ExitStack() as stack:
            ledgers = [_start_server(stack, engine, size, options.folder, options.seconds) for size in sizes]
            found = dict(_measure_paths(ledgers, chosen, options.rounds))
        parts += ["", f"## {engine}", "", *_table(found, [ledger.uses for ledger in ledgers])]
        options.out.write_text("\n".join(parts) + "\n")
    print("\n".join(parts[2:]))
    print(f"Written to {options.out}")
    return 0


@dataclass(frozen=True, slots=True)
class SeededServer:
    """A seeded database with a server over it: its uses of money credit, and the load of each path."""

    uses: int
    loads: Mapping[str, LoadPlan]


def _start_server(stack: ExitStack, name: str, size: int, kept: Path | None, seconds: float) -> SeededServer:
    """A server over about `size` uses, until the stack ends."""
    folder = stack.enter_context(database_folder(kept, f"{name}-{size}"))
    engine = stack.enter_context(running_engine(name, 1, folder))
    print(f"{name}: filling with {size:,}", flush=True)
    there = seed_engine(engine, size)
    server = stack.enter_context(running_server(engine.url, DEFAULT_WORKERS[name], folder / "server.log"))
    loads = {
        way.name: LoadPlan(way.requests, server.port, there.token, 1, seconds, way.idempotency_keys, folder)
        for way in all_scenarios(there, engine.dialect)
    }
    return SeededServer(there.uses, loads)


def _measure_paths(
    ledgers: Sequence[SeededServer], chosen: frozenset[str], rounds: int
) -> Iterator[tuple[str, list[list[Sample]]]]:
    """Each path with the samples of every size, taken in turn."""
    for path in ledgers[0].loads:
        if chosen and path not in chosen:
            continue
        samples: list[list[Sample]] = [[] for _ in ledgers]
        for ledger in ledgers:
            measure_load(ledger.loads[path])
        for _ in range(rounds):
            for ledger, taken in zip(ledgers, samples, strict=True):
                taken.append(measure_load(ledger.loads[path]))
        print(path, *(f"{p50(taken):.2f} ms" for taken in samples), flush=True)
        yield path, samples


def _table(found: Mapping[str, Sequence[Sequence[Sample]]], uses: Sequence[int]) -> list[str]:
    columns = ["path", *(f"p50 (p99) ms at {each:,}" for each in uses), "growth"]
    rows = []
    for path, samples in found.items():
        cells = [f"{p50(taken):.2f} ({p99(taken):.2f})" for taken in samples]
        rows.append([f"`{path}`", *cells, f"{p50(samples[-1]) / p50(samples[0]):.2f}"])
    return markdown(columns, rows)


if __name__ == "__main__":
    sys.exit(main())
