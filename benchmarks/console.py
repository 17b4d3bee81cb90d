"""How long the console's pages take at several sizes of the ledger, for one browser.

`python -m benchmarks.console --rows 1000000,10000000 --folder FOLDER` starts a server over each database, signs in
and opens lists, customers, credits and the search, each time another one, and then the same ones again. *First time*
is the first opening, which reads the disk where the database is larger than the memory. *Server CPU* is the
processor time of the server and of PostgreSQL for each page opened again. It prints a table and writes
benchmarks/results/console.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple
from urllib.parse import quote

from benchmarks import machine
from benchmarks.engines import DEFAULT_WORKERS, ENGINES, database_folder, running_engine, seed_engine
from benchmarks.report import RESULTS, markdown
from benchmarks.seeding import SeedData
from benchmarks.server import BenchmarkServer, running_server
from creditdesk.console.links import list_path
from creditdesk.console.session import LOCAL_COOKIE
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.coworker import Coworker

TARGET_P95_MILLISECONDS: Final = 100
_WARM_UP: Final = 40
"""How often a kind of page is opened before, so that each connection has prepared its statements."""
_SLOW_SECONDS: Final = 1.0
_SLOW_SAMPLES: Final = 5
"""How often a page is opened that takes longer than _SLOW_SECONDS."""
_FRAGMENTS: Final = {
    "totals of the first page": ["/console/today/figures"],
    "tasks of the first page": ["/console/today/tasks"],
    "search for a description": ["/console/search/credits?q=Ada", "/console/search/credits?q=Novak"],
}
"""Parts that follow a page which is there already, and have no target."""


class PageTime(NamedTuple):
    """One page at one size: median and 95th percentile of its duration when it is opened again, the 95th when it is
    opened for the first time, processor time and size of a response.

    `deadlines` counts responses that the deadline of statements ended.
    """

    p50_milliseconds: float
    p95_milliseconds: float
    first_milliseconds: float
    cpu_milliseconds: float
    kilobytes: float
    deadlines: int


def console_pages(seeded: SeedData) -> dict[str, list[str]]:
    """The paths of each kind of page."""
    customers = [customer for customer, _ in seeded.customers]
    uses, people = list_path(CoworkerBookingCreditUseHistory), list_path(Coworker)
    of_customer = "CoworkerBookingCreditUseHistory_CoworkerBookingCredit_Coworker"
    return {
        "list of customers": [people],
        "customers by name": [f"{people}?Coworker_FullName={quote(name)}" for name in ("Ada", "Kenji Ito", "Zoë")],
        "a customer": [f"/console/customers/{each}" for each in customers],
        "list of credits": [list_path(CoworkerBookingCredit)],
        "a credit": [f"/console/credits/money/{each}" for each in seeded.listed_credits],
        "spend desk": [f"/console/spend?customer={each}" for each in customers],
        "statement": [f"/console/reports/statement?CoworkerId={each}" for each in customers],
        "list of uses": [uses],
        "a customer's uses": [f"{uses}?{of_customer}={each}" for each in customers],
        "journal": [list_path(JournalLine)],
        "search for a number": [f"/console/search?q={each}" for each in customers],
        "search for a name": ["/console/search?q=Ada", "/console/search?q=Novak"],
        "first page": ["/console/"],
        **_FRAGMENTS,
    }


def measure_pages(
    seeded: SeedData, server: BenchmarkServer, pids: Sequence[int], samples: int
) -> Iterator[tuple[str, PageTime]]:
    """Opens every kind of page."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=300)
    headers = {"Cookie": f"{LOCAL_COOKIE}={seeded.token}"}
    deadlines = 0

    def open_page(path: str) -> tuple[float, int]:
        nonlocal deadlines
        started = perf_counter()
        connection.request("GET", path, headers=headers | ({"HX-Request": "true"} if title in _FRAGMENTS else {}))
        response = connection.getresponse()
        body = response.read()
        deadlines += response.status == HTTPStatus.SERVICE_UNAVAILABLE
        if response.status not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
            raise RuntimeError(f"{path} was answered {response.status}: {body[:300]!r}")
        return perf_counter() - started, len(body)

    def cpu_seconds() -> float:
        return sum(machine.tree_seconds(pid) for pid in (server.pid, *pids))

    for title, paths in console_pages(seeded).items():
        slowest = max(open_page(paths[-1 - number % len(paths)])[0] for number in range(_SLOW_SAMPLES))
        deadlines, is_slow = 0, slowest > _SLOW_SECONDS
        for number in range(0 if is_slow else _WARM_UP - _SLOW_SAMPLES):
            open_page(paths[-1 - (number + _SLOW_SAMPLES) % len(paths)])
        chosen = paths[: max(1, len(paths) - _WARM_UP)]
        first = sorted(1e3 * open_page(path)[0] for path in chosen[: _SLOW_SAMPLES if is_slow else None])
        number_of = _SLOW_SAMPLES if is_slow else samples
        spent = cpu_seconds()
        opened = [open_page(chosen[number % len(first)]) for number in range(number_of)]
        cpu = (cpu_seconds() - spent) / number_of
        taken = sorted(1e3 * seconds for seconds, _ in opened)
        size = sum(size for _, size in opened) / number_of / 1e3
        found = PageTime(
            _percentile(taken, 50), _percentile(taken, 95), _percentile(first, 95), 1e3 * cpu, size, deadlines
        )
        print(f"{title}: {found.p50_milliseconds:.1f} ms, p95 {found.p95_milliseconds:.1f}", flush=True)
        yield title, found
    connection.close()


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--rows", default="100000", help="sizes, with commas between")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--samples", type=int, default=200, help="how often each kind of page is opened")
    parser.add_argument("--out", type=Path, default=RESULTS / "console.md", help="where the page is written")
    parser.add_argument("--folder", type=Path, help="keeps the databases here, for further runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = [int(word) for word in options.rows.split(",")]
    target = f"; {options.samples} pages of each kind. Target: p95 ≤ {TARGET_P95_MILLISECONDS} ms."
    written = f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine.describe_machine()}{target}"
    parts, missed = ["# Console", "", *(__doc__ or "").splitlines()[2:], "", written], False
    for name in (options.engine,) if options.engine else ENGINES:
        found = [_measure_size(name, size, options.folder, options.samples) for size in sizes]
        missed = missed or _is_missed(found[-1])
        load = f"- The load average of the machine was {os.getloadavg()[0]:.0f} as the last size was measured."
        parts += ["", f"## {name}", "", *_table(sizes, found), "", load]
        options.out.write_text("\n".join(parts) + "\n")
    print("\n".join(parts[2:]))
    return 1 if missed else 0


def _measure_size(name: str, size: int, kept: Path | None, samples: int) -> dict[str, PageTime]:
    with database_folder(kept, f"{name}-{size}") as folder, running_engine(name, 1, folder) as engine:
        seeded = seed_engine(engine, size)
        with running_server(engine.url, DEFAULT_WORKERS[name], folder / "server.log") as server:
            return dict(measure_pages(seeded, server, engine.pids, samples))


def _is_missed(found: dict[str, PageTime]) -> bool:
    return any(
        time.p95_milliseconds > TARGET_P95_MILLISECONDS for title, time in found.items() if title not in _FRAGMENTS
    )


def _table(sizes: Sequence[int], found: Sequence[dict[str, PageTime]]) -> list[str]:
    kinds = ("p50 (p95) ms", "first time p95 ms", "server CPU ms")
    heads = ["page", *(f"{kind} at {size:,} uses" for size in sizes for kind in kinds), "kB", "growth"]
    rows = []
    for title, last in found[-1].items():
        cells = []
        for times in found:
            each = times[title]
            late = f", {each.deadlines} not in time" if each.deadlines else ""
            cells += [
                f"{each.p50_milliseconds:.1f} ({each.p95_milliseconds:.1f}){late}",
                f"{each.first_milliseconds:.1f}",
                f"{each.cpu_milliseconds:.1f}",
            ]
        growth = last.p50_milliseconds / found[0][title].p50_milliseconds
        rows.append([title, *cells, f"{last.kilobytes:.0f}", f"{growth:.2f}"])
    return markdown(heads, rows)


if __name__ == "__main__":
    sys.exit(main())
