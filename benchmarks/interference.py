"""Latency of short calls while the heaviest list that the server allows runs again and again.

`python -m benchmarks.interference` starts a server over the demo, sends `/health`, small lists and gets by
one client each, first alone and then beside callers that repeat a list with as many filters as are allowed,
every one of which each row passes. It prints the latencies and writes benchmarks/results/interference.md.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from benchmarks.callers import calling
from benchmarks.engines import DEFAULT_WORKERS, MeasuredEngine
from benchmarks.load import HttpRequest, LoadPlan, measure_load
from benchmarks.page import Section, page_parser, write_page
from benchmarks.report import markdown
from benchmarks.samples import Sample
from benchmarks.scenarios import USE_ENTITY
from benchmarks.seeding import SeedData
from benchmarks.server import BenchmarkServer, running_server, send_request
from creditdesk.settings import ApiSettings

TARGET_P99_MILLISECONDS: Final = 100
_NAME: Final = USE_ENTITY.__name__


def heaviest_list() -> HttpRequest:
    """As many filters as are allowed, without an index, that every row passes, sorted without an index."""
    fields = range(ApiSettings().max_filters)
    params = {f"{_NAME}_CustomFields_Field{number}": "null" for number in fields}
    return HttpRequest("GET", f"{USE_ENTITY.path()}?{urlencode(params)}&orderBy=CoworkerBookingCreditRemainingCredit")


def short_calls(seeded: SeedData) -> dict[str, tuple[HttpRequest, ...]]:
    """Calls that people and programs make all the time."""
    path = USE_ENTITY.path()
    return {
        "health": (HttpRequest("GET", "/health"),),
        "get by id": tuple(HttpRequest("GET", f"{path}/{each}") for each in seeded.use_ids),
        "one credit's uses": tuple(
            HttpRequest("GET", f"{path}?{_NAME}_CoworkerBookingCredit={each}") for each in seeded.listed_credits
        ),
        "first page": (HttpRequest("GET", f"{path}?size=25"),),
    }


def main() -> int:
    parser = page_parser("interference", __doc__, "interference.md")
    parser.add_argument("--callers", type=int, default=8, help="callers that repeat the heaviest list")
    parser.add_argument("--seconds", type=float, default=10, help="length of one sample")
    options = parser.parse_args()

    def measure(engine: MeasuredEngine, seeded: SeedData, folder: Path) -> Section:
        with running_server(engine.url, DEFAULT_WORKERS[engine.name], folder / "server.log") as server:
            measured = dict(_measure(server, seeded, folder, options.callers, options.seconds))
        missed = any(beside.p99_milliseconds > TARGET_P99_MILLISECONDS for _, beside in measured.values())
        return Section(_table(measured), missed)

    conditions = f"; {options.callers} callers repeat the list. Target: p99 ≤ {TARGET_P99_MILLISECONDS} ms."
    return write_page(options, "Interference", __doc__, conditions, measure)


def _measure(
    server: BenchmarkServer, seeded: SeedData, folder: Path, callers: int, seconds: float
) -> Iterator[tuple[str, tuple[Sample, Sample]]]:
    """Each short call, alone and beside the list."""
    for name, requests in short_calls(seeded).items():
        load = LoadPlan(requests, server.port, seeded.token, 1, seconds, idempotency_keys=False, folder=folder)
        alone = measure_load(load)
        with _callers_of(heaviest_list(), server.port, seeded.token, callers):
            beside = measure_load(load)
        yield name, (alone, beside)


@contextmanager
def _callers_of(request: HttpRequest, port: int, token: str, callers: int) -> Iterator[None]:
    """Threads that repeat a request during the block; each answer must be a page or a missed deadline."""
    statuses: set[int] = set()

    def repeat(over: threading.Event) -> None:
        while not over.is_set():
            statuses.add(send_request(port, token, request)[0])

    with calling(repeat, callers):
        yield
    if not statuses <= {200, 503}:
        raise RuntimeError(f"the heaviest list was answered {sorted(statuses)}")


def _table(measured: dict[str, tuple[Sample, Sample]]) -> list[str]:
    rows = [
        (name, *(f"{each:.2f}" for sample in pair for each in (sample.p50_milliseconds, sample.p99_milliseconds)),
         str(sum(sample.errors for sample in pair)))
        for name, pair in measured.items()
    ]  # fmt: skip
    return markdown(("call", "alone p50 ms", "p99 ms", "beside the list p50 ms", "p99 ms", "errors"), rows)


if __name__ == "__main__":
    sys.exit(main())
