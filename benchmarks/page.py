"""A page of benchmarks/results with a section for each engine, measured over a seeded database."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.engines import ENGINES, MeasuredEngine, database_folder, running_engine, seed_engine
from benchmarks.report import RESULTS
from benchmarks.seeding import SeedData


@dataclass(frozen=True, slots=True)
class Section:
    """What one engine showed, and whether it missed a target."""

    lines: Sequence[str]
    missed: bool


def page_parser(module: str, description: str | None, page: str) -> argparse.ArgumentParser:
    """The options of every such page; `page` is its name in benchmarks/results."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description)
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the database")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    parser.add_argument("--out", type=Path, default=RESULTS / page, help="where the page is written")
    return parser


def write_page(
    options: argparse.Namespace,
    title: str,
    description: str | None,
    conditions: str,
    measure: Callable[[MeasuredEngine, SeedData, Path], Section],
) -> int:
    """Measures each engine, writes the page as it grows, and returns 1 where a target was missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    written = f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}{conditions}"
    parts = [f"# {title}", "", *(description or "").splitlines()[2:], "", written]
    missed = False
    for name in (options.engine,) if options.engine else ENGINES:
        with (
            database_folder(options.folder, f"{name}-{options.rows}") as folder,
            running_engine(name, 1, folder) as engine,
        ):
            seeded = seed_engine(engine, options.rows)
            section = measure(engine, seeded, folder)
        parts += ["", f"## {name}, {seeded.uses:,} uses of money credit", "", *section.lines]
        options.out.write_text("\n".join(parts) + "\n")
        print("\n".join(section.lines), flush=True)
        missed = missed or section.missed
    print(f"Written to {options.out}")
    return 1 if missed else 0
