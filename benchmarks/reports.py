"""How long reports take at several sizes of the ledger, from the totals of ended days and over all journals.

`python -m benchmarks.reports --rows 100000,1000000` loads the demo, computes each report before and after the
job that stores the totals of ended days, prints a table and writes benchmarks/results/reports.md. The figures
of both ways are compared. *CPU s* is processor time, of the report and of PostgreSQL: on a machine with other
work it says more than the duration. `python -m benchmarks.multiply` makes larger ledgers by copying rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import fmean
from time import monotonic, process_time
from typing import Any, Final, NamedTuple

from benchmarks import machine, postgres
from benchmarks.engines import ENGINES, MeasuredEngine, database_folder, running_engine
from benchmarks.report import RESULTS, markdown
from creditdesk.demo.load import load_demo
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.reports.daily_total import DailyTotal
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.reports.catalog import run_report
from creditdesk.reports.daily_totals_job import store_daily_totals
from creditdesk.reports.request import parse_report_request
from creditdesk.reports.result import ReportResult
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.schema.service import Principal
from creditdesk.storage.engine import open_store

_SEED: Final = 1
_CUSTOMER: Final = 101
_ROUNDS: Final = 10
_MAX_SECONDS: Final = 10
"""After so many seconds a report is not computed again."""
_MANY_USES: Final = 300_000
"""From this many uses on, reports over all journals are left out: they take minutes."""
_OF_EVERY_CREDIT: Final = frozenset(
    {"exceptions", "ageing", "liability by credit", "liability by plan", "utilisation of a month"}
)
"""Reports that read every credit, and are left out as well."""
_TARGETS: Final = {
    "liability now": 3.0,
    "liability at an instant": 3.0,
    "month": 3.0,
    "statement": 0.05,
    "exceptions": 10.0,
}
"""The most seconds that reports should take over ten million uses."""


def report_cases(today: date) -> dict[str, tuple[str, dict[str, Any]]]:
    """The reports by title; the month is the last full one."""
    last = today.replace(day=1) - timedelta(days=1)
    month = {"From": last.replace(day=1).isoformat(), "To": last.isoformat()}
    return {
        "liability now": ("liability", {"By": "funding"}),
        "liability at an instant": ("liability", {"By": "funding", "At": f"{last}T11:30:00Z"}),
        "month": ("roll-forward", month),
        "every month": ("roll-forward", {}),
        "statement": ("statement", {"CoworkerId": _CUSTOMER}),
        "exceptions": ("exceptions", {}),
        "ageing": ("ageing", {}),
        "liability by credit": ("liability", {}),
        "liability by plan": ("liability", {"By": "plan"}),
        "utilisation of a month": ("utilisation", month),
    }


class ReportTime(NamedTuple):
    """How long a report took, and the processor time of it and its database."""

    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class LedgerTimes:
    """One size: its entries, the time of each report, and the seconds of the job that stores totals."""

    entries: int = 0
    job: float = 0.0
    over_journals: dict[str, ReportTime] = field(default_factory=dict)
    from_totals: dict[str, ReportTime] = field(default_factory=dict)


async def measure_reports(store: Store, engine: MeasuredEngine, rows: int, chosen: Collection[str]) -> LedgerTimes:
    """Measures every report over the demo, or those chosen, before totals are stored and after."""
    now, times = datetime.now(UTC), LedgerTimes()
    async with store.read_session() as session:
        times.entries = await session.count(JournalLine)
        has_totals = bool(await session.count(DailyTotal))
    cases = {
        title: case
        for title, case in report_cases(now.date()).items()
        if (title in chosen if chosen else rows < _MANY_USES or title not in _OF_EVERY_CREDIT)
    }
    expected: dict[str, ReportResult] = {}
    if rows < _MANY_USES and not has_totals:
        for title, case in cases.items():
            expected[title], times.over_journals[title] = await _fastest(store, engine, case, now, rounds=1)
    started = monotonic()
    await store_daily_totals(store, now)
    times.job = monotonic() - started
    for title, case in cases.items():
        result, taken = await _fastest(store, engine, case, now, rounds=_ROUNDS)
        times.from_totals[title] = taken
        print(f"{engine.name} {rows:,}: {title} {taken.seconds:.3f} s, {taken.cpu_seconds:.3f} s of CPU", flush=True)
        if title in expected and expected[title] != result:
            raise RuntimeError(f"{title}: the totals of ended days give other figures than the journals")
    return times


async def _fastest(
    store: Store, engine: MeasuredEngine, case: tuple[str, Mapping[str, Any]], now: datetime, rounds: int
) -> tuple[ReportResult, ReportTime]:
    """The report, the duration of the fastest round, and the mean processor time."""
    request = parse_report_request(case[0], case[1], Principal(0, "bench@example.com", unrestricted=True), now)

    async def compute(session: ReadSession) -> ReportResult:
        return await run_report(session, request)

    def cpu_seconds() -> float:
        return process_time() + sum(map(machine.tree_seconds, engine.pids))

    taken: list[ReportTime] = []
    while len(taken) < rounds and sum(each.seconds for each in taken) < _MAX_SECONDS:
        started, spent = monotonic(), cpu_seconds()
        result = await store.read_detached(compute)
        taken.append(ReportTime(monotonic() - started, cpu_seconds() - spent))
    # The first round opens the connection.
    later = taken[1:] or taken
    return result, ReportTime(min(each.seconds for each in later), fmean(each.cpu_seconds for each in later))


async def _measure_engine(engine: MeasuredEngine, rows: int, chosen: Collection[str]) -> LedgerTimes:
    store = await open_store(engine.url, migrated=True)
    try:
        async with store.read_session() as session:
            is_empty = not await session.count(Coworker)
        if is_empty:
            await load_demo(store, rows, _SEED, NullReporter())
        if is_empty and engine.name == "postgresql":
            await postgres.settle(engine.url)
        return await measure_reports(store, engine, rows, chosen)
    finally:
        await store.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description=__doc__)
    parser.add_argument("--rows", default="100000,1000000", help="sizes, with commas between")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--cases", default="", help="only these, by title, with commas between")
    parser.add_argument("--out", type=Path, default=RESULTS / "reports.md", help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = [int(word) for word in options.rows.split(",")]
    chosen = [word for word in options.cases.split(",") if word]
    written = f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}"
    parts = ["# Reports", "", *(__doc__ or "").splitlines()[2:], "", written]
    for name in (options.engine,) if options.engine else ENGINES:
        found = []
        for size in sizes:
            with ExitStack() as stack:
                folder = stack.enter_context(database_folder(options.folder, f"{name}-{size}"))
                engine = stack.enter_context(running_engine(name, 1, folder))
                found.append(asyncio.run(_measure_engine(engine, size, chosen)))
        others = f"- The load average of the machine was {os.getloadavg()[0]:.0f} as the last size was measured."
        parts += ["", f"## {name}", "", *_table(sizes, found), others]
        options.out.write_text("\n".join(parts) + "\n")
    print("\n".join(parts[2:]))
    print(f"Written to {options.out}")
    return 0


def _table(sizes: Sequence[int], found: Sequence[LedgerTimes]) -> list[str]:
    has_both = any(times.over_journals for times in found)
    kinds = (*(("all journals s",) if has_both else ()), "totals s", "CPU s")
    heads = [f"{head} at {size:,} uses" for size in sizes for head in kinds]
    rows = []
    for title in found[0].from_totals:
        cells = []
        for times in found:
            slow, fast = times.over_journals.get(title), times.from_totals.get(title)
            if has_both:
                cells.append(f"{slow.seconds:.2f}" if slow else "")
            cells += [f"{fast.seconds:.3f}", f"{fast.cpu_seconds:.3f}"] if fast else ["", ""]
        last = found[-1].from_totals.get(title)
        growth = last.cpu_seconds / found[0].from_totals[title].cpu_seconds if last else None
        target = _TARGETS.get(title)
        rows.append([title, *cells, "" if growth is None else f"{growth:.2f}", "" if target is None else f"{target:g}"])
    facts = [
        f"{t.entries:,} entries at {s:,} uses; the job took {t.job:.0f} s" for s, t in zip(sizes, found, strict=True)
    ]
    return [*markdown(["report", *heads, "growth of CPU s", "target s"], rows), "", *(f"- {fact}" for fact in facts)]


if __name__ == "__main__":
    sys.exit(main())
