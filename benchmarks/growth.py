"""How each path grows with the ledger: its latency for one caller at several sizes of database.

`python -m benchmarks.growth --rows 10000,1000000` prints a table and writes docs/growth.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.engines import ENGINES, USUAL_WORKERS, filled, place, running
from benchmarks.load import Load, put_under_load
from benchmarks.paths import ways
from benchmarks.report import markdown
from benchmarks.samples import Sample, p50, p99
from benchmarks.server import serving

_PAGE: Final = Path(__file__).parent.parent / "docs" / "growth.md"
_METHOD: Final = """# Growth

What one caller waits for, at several sizes of the ledger: one connection, so that nobody queues,
and the median of the rounds. Written by `python -m benchmarks.growth`; the paths are those of
docs/performance.md. *Growth* is the median latency at the largest size over that at
the smallest.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rows", default="10000,1000000", help="sizes, with commas between")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--paths", default="", help="only these, by name, with commas between")
    parser.add_argument("--seconds", type=float, default=2, help="length of one sample")
    parser.add_argument("--rounds", type=int, default=3, help="samples for each figure")
    parser.add_argument("--out", type=Path, default=_PAGE, help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = [int(word) for word in told.rows.split(",")]
    chosen = frozenset(word for word in told.paths.split(",") if word)
    parts = [
        _METHOD,
        f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.described()}.",
    ]
    for engine in (told.engine,) if told.engine else ENGINES:
        found: dict[str, dict[int, list[Sample]]] = {}
        uses: dict[int, int] = {}
        for size in sizes:
            with place(told.folder, f"{engine}-{size}") as folder:
                uses[size] = _measure(
                    engine, size, chosen, told.seconds, told.rounds, found, folder
                )
        parts += ["", f"## {engine}", "", *_table(found, sizes, uses)]
        told.out.write_text("\n".join(parts) + "\n")
    print("\n".join(parts[2:]))
    print(f"Written to {told.out}")
    return 0


def _measure(
    name: str, size: int, chosen: frozenset[str], seconds: float, rounds: int,
    found: dict[str, dict[int, list[Sample]]], folder: Path,
) -> int:  # fmt: skip
    """Measures every path at one size; gives how many uses of money credit there were."""
    with running(name, 1, folder) as engine:
        print(f"{name}: filling with {size:,}", flush=True)
        there = filled(engine, size)
        with serving(engine.url, USUAL_WORKERS[name], folder / "server.log") as server:
            for way in ways(there, engine.dialect):
                if chosen and way.name not in chosen:
                    continue
                load = Load(
                    way.asks, server.port, there.token, 1, seconds, way.keyed, folder
                )  # fmt: skip
                put_under_load(load)
                samples = [put_under_load(load) for _ in range(rounds)]
                found.setdefault(way.name, {})[size] = samples
                print(f"{size:>12,} {way.name:10} p50 {p50(samples):.2f} ms", flush=True)
        return there.uses


def _table(
    found: dict[str, dict[int, list[Sample]]], sizes: Sequence[int], uses: dict[int, int]
) -> list[str]:
    columns = ["path", *(f"p50 (p99) ms at {uses[size]:,}" for size in sizes), "growth"]
    rows = []
    for path, samples in found.items():
        cells = [f"{p50(samples[size]):.2f} ({p99(samples[size]):.2f})" for size in sizes]
        growth = p50(samples[sizes[-1]]) / p50(samples[sizes[0]])
        rows.append([f"`{path}`", *cells, f"{growth:.2f}"])
    return markdown(columns, rows)


if __name__ == "__main__":
    sys.exit(main())
