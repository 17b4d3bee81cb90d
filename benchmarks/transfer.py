"""Demo, export, import and verify of a whole ledger, beside the engine's own bulk writing.

`python -m benchmarks.transfer --rows 1000000` seeds a source, exports it, imports the files into an
empty database and verifies it, then has the engine copy the same rows into another one; first with a
fifth of the uses, to show whether memory stays flat. Writes benchmarks/results/transfer.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg

from benchmarks import machine
from benchmarks.commands import CommandUsage, creditdesk_command, module_command, run_command
from benchmarks.engines import ENGINES
from benchmarks.postgres import describe_server, temporary_postgres
from benchmarks.report import RESULTS, markdown

_OUTPUT: Final = RESULTS / "transfer.md"
_SMALL_DIVISOR: Final = 5
_SQLITE_TITLE: Final = "SQLite in WAL mode, synchronous FULL"
_METHOD: Final = """# Transfer

A whole ledger exported to files, imported from files, and verified. Written by
`python -m benchmarks.transfer`.

1. Each command runs as an operator runs it, in its own process: `demo`, `export` (JSON lines), `import`
   into an empty database, `verify`. *Peak* is the most memory of its processes at one time; *CPU* is
   their processor time, *database CPU* that of PostgreSQL. Starting the interpreter counts.
2. *Rows* are those of all tables of the ledger: records, links, journal lines and account states. Files
   contain no journal: an import creates it.
3. *Ceiling*: the engine's bulk writing of the imported rows into another empty, migrated database, in one
   transaction, with all indexes, references and triggers. PostgreSQL: `COPY` in binary form, one table
   after the other over one connection. SQLite: `executemany` of whole rows, without the time of reading
   them. Neither parses JSON, resolves references, denormalizes values, creates the journal or verifies.
4. *Ratio* is the ceiling's time over that of import and verify together, for the same rows. *Without the
   journal* counts only the rows that files contain. The second ratio is that of processor time, database
   included, which other load on the machine does not change.
"""


@dataclass(frozen=True, slots=True)
class EngineDatabases:
    """The databases of one run; `create_database` makes an empty one by name and returns its URL."""

    title: str
    create_database: Callable[[str], str]
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TransferRun:
    """The measurements of one engine at one size."""

    uses: int
    rows: int
    demo: CommandUsage
    export: CommandUsage
    imported: CommandUsage
    verified: CommandUsage
    ceiling_seconds: float
    ceiling_cpu_seconds: float
    ceiling_without_journal: float

    @property
    def seconds(self) -> float:
        return self.imported.seconds + self.verified.seconds

    @property
    def cpu_seconds(self) -> float:
        """Processor time of import and verify, with the database."""
        acts = (self.imported, self.verified)
        return sum(each.cpu_seconds + each.database_cpu_seconds for each in acts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the larger database")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--once", action="store_true", help="only this size")
    parser.add_argument("--out", type=Path, default=_OUTPUT, help="where the page is written")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    now = datetime.now(UTC)
    parts = [_METHOD, f"Written on {now:%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}."]
    for engine in (options.engine,) if options.engine else ENGINES:
        streams = []
        for uses in (options.rows,) if options.once else (options.rows // _SMALL_DIVISOR, options.rows):
            with TemporaryDirectory(prefix="creditdesk-streams-") as folder:
                # PostgreSQL runs as another user where this runs as root.
                Path(folder).chmod(0o755)
                with _engine_databases(engine, Path(folder)) as place:
                    streams.append(_measure_transfer(place, uses, Path(folder)))
                    title = place.title
        parts += ["", f"## {engine}", "", f"{title}.", "", *_tables(streams)]
        print("\n".join(parts[2:]), flush=True)
        options.out.write_text("\n".join(parts) + "\n")
    print(f"Written to {options.out}")
    return 0


@contextmanager
def _engine_databases(engine: str, folder: Path) -> Iterator[EngineDatabases]:
    if engine == "sqlite":
        yield EngineDatabases(_SQLITE_TITLE, lambda name: f"sqlite:///{folder / name}.db", ())
        return
    with temporary_postgres(folder / "data") as own:

        def fresh(name: str) -> str:
            asyncio.run(_create_database(own.url, name))
            return own.url.replace("/postgres?", f"/{name}?")

        yield EngineDatabases(asyncio.run(describe_server(own.url)), fresh, (own.pid,))


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def _measure_transfer(place: EngineDatabases, uses: int, folder: Path) -> TransferRun:
    def run(name: str, words: list[str]) -> CommandUsage:
        done = run_command(words, place.pids, folder / f"{name}.log")
        print(f"{uses:>10,} {name:8} {done.seconds:8.1f} s {done.peak_megabytes:6.0f} MB",
              f"{done.cpu_seconds:8.1f} + {done.database_cpu_seconds:.1f} s CPU", flush=True)  # fmt: skip
        return done

    source, target, third = (place.create_database(name) for name in ("source", "target", "third"))
    files = str(folder / "files")
    demo = run("demo", creditdesk_command("demo", "--uses", str(uses), "--database", source))
    export = run("export", creditdesk_command("export", files, "--database", source))
    run("migrate", creditdesk_command("migrate", "--database", target))
    imported = run("import", creditdesk_command("import", files, "--database", target))
    verified = run("verify", creditdesk_command("verify", "--database", target))
    shutil.rmtree(files)
    run("migrate", creditdesk_command("migrate", "--database", third))
    (folder / "copies").mkdir()
    copied = run("copy", module_command("benchmarks.bulk_copy", target, third, str(folder / "copies")))
    best = json.loads(copied.output)
    return TransferRun(
        uses, best["rows"], demo, export, imported, verified,
        best["seconds"], best["cpu_seconds"], best["seconds_without_journal"],
    )  # fmt: skip


def _tables(streams: list[TransferRun]) -> Iterator[str]:
    columns: tuple[str, ...] = (
        "uses",
        "command",
        "seconds",
        "uses/s",
        "rows/s",
        "CPU s",
        "database CPU s",
        "peak MB",
    )
    rows = []
    for stream in streams:
        for name in ("demo", "export", "imported", "verified"):
            done: CommandUsage = getattr(stream, name)
            rows.append(
                [
                    f"{stream.uses:,}", _TITLES[name], f"{done.seconds:.1f}",
                    f"{stream.uses / done.seconds:,.0f}", f"{stream.rows / done.seconds:,.0f}",
                    f"{done.cpu_seconds:.1f}", f"{done.database_cpu_seconds:.1f}",
                    f"{done.peak_megabytes:.0f}",
                ]
            )  # fmt: skip
    yield from markdown(columns, rows)
    yield ""
    columns = ("uses", "rows", "import and verify s", "rows/s", "ceiling s", "rows/s", "ratio",
               "without the journal", "CPU s", "ceiling CPU s", "ratio")  # fmt: skip
    yield from markdown(
        columns,
        [
            [
                f"{stream.uses:,}", f"{stream.rows:,}", f"{stream.seconds:.1f}",
                f"{stream.rows / stream.seconds:,.0f}", f"{stream.ceiling_seconds:.1f}",
                f"{stream.rows / stream.ceiling_seconds:,.0f}",
                f"{stream.ceiling_seconds / stream.seconds:.2f}",
                f"{stream.ceiling_without_journal / stream.seconds:.2f}",
                f"{stream.cpu_seconds:.1f}", f"{stream.ceiling_cpu_seconds:.1f}",
                f"{stream.ceiling_cpu_seconds / stream.cpu_seconds:.2f}",
            ]
            for stream in streams
        ],
    )  # fmt: skip


_TITLES: Final = {"demo": "demo", "export": "export", "imported": "import", "verified": "verify"}


if __name__ == "__main__":
    sys.exit(main())
