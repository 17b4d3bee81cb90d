"""The calls that cost most, and small lists beside them.

`python -m benchmarks.worst_cases` starts a server over the demo. It sends a thousand lists of different shapes to
the fresh server, then the same again. Then callers repeat each kind of costly call while a user who is restricted
to one location reads small lists; it prints the latencies of both and writes benchmarks/results/worst_cases.md.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count, islice, permutations
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from benchmarks.callers import calling
from benchmarks.costly_records import PASSWORD, CostlyRecords, create_costly_records
from benchmarks.engines import DEFAULT_WORKERS, MeasuredEngine
from benchmarks.interference import TARGET_P99_MILLISECONDS, heaviest_list
from benchmarks.load import HttpRequest, LoadPlan, measure_load
from benchmarks.page import Section, page_parser, write_page
from benchmarks.report import markdown
from benchmarks.samples import Sample, summarize
from benchmarks.scenarios import USE_ENTITY
from benchmarks.seeding import SeedData
from benchmarks.server import BenchmarkServer, running_server

SHAPES: Final = 1000
PAGE_OF: Final = 10_000
_NAME: Final = USE_ENTITY.__name__
_PATH: Final = USE_ENTITY.path()
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class CostlyCalls:
    """Requests that so many callers repeat; each caller takes the next one. Only `once` where they can be sent once."""

    name: str
    requests: Sequence[HttpRequest]
    callers: int
    once: bool = False


@dataclass(slots=True)
class _Timings:
    """Durations in nanoseconds, and how many answers were neither 200 nor a missed deadline."""

    durations: list[int] = field(default_factory=list)
    errors: int = 0

    def sample(self, seconds: float) -> Sample:
        return summarize(self.durations, seconds, self.errors)


def different_shapes(seeded: SeedData) -> list[HttpRequest]:
    """Lists of one customer, no two of which have the same filters and order."""
    coworker, _ = seeded.customers[0]
    meta = USE_ENTITY.meta()
    filters = sorted(
        {each.column.name: each.name for each in meta.filters.values() if each.variant == "equals"}.items()
    )
    customer = f"{_NAME}_CoworkerBookingCredit_Coworker_Id"
    pairs = ((name, order) for (_, name), (order, _) in permutations(filters, 2) if name != customer)
    return [
        HttpRequest("GET", f"{_PATH}?{urlencode({customer: coworker, name: 'null', 'orderBy': order})}")
        for name, order in islice(pairs, SHAPES)
    ]


def costly_calls(seeded: SeedData, records: CostlyRecords) -> Iterator[CostlyCalls]:
    """Every kind of costly call."""
    yield CostlyCalls("the heaviest list", [heaviest_list()], 4)
    yield CostlyCalls(
        f"pages of {PAGE_OF:,}", [HttpRequest("GET", f"{_PATH}?size={PAGE_OF}&page={page}") for page in (1, 2, 3)], 2
    )
    yield CostlyCalls(f"{SHAPES:,} shapes in turn", different_shapes(seeded), 1)
    yield CostlyCalls("previews of baskets of 20 over 20 credits", records.wide_baskets, 2)
    yield CostlyCalls("64 customers' baskets", records.customer_baskets(seeded), 64)
    sign_ins = [
        HttpRequest(
            "POST", "/api/token", urlencode({"grant_type": "password", "username": email, "password": PASSWORD})
        )
        for email in records.emails
    ]
    yield CostlyCalls(f"first sign-ins of {len(sign_ins)} callers", sign_ins, len(sign_ins), once=True)


def small_lists(seeded: SeedData) -> tuple[HttpRequest, ...]:
    """Lists that a person at a location opens."""
    targets = [
        f"{_PATH}?size=25&orderBy=CreatedOn&dir=-1",
        f"{_PATH}?{_NAME}_Booking_Resource_Name=e&orderBy=CreatedOn&dir=-1",
    ]
    targets += [f"{_PATH}?{_NAME}_CoworkerBookingCredit={each}" for each in seeded.listed_credits]
    return tuple(HttpRequest("GET", each) for each in targets)


def main() -> int:
    parser = page_parser("worst_cases", __doc__, "worst_cases.md")
    parser.add_argument("--seconds", type=float, default=8, help="length of one sample")
    options = parser.parse_args()

    def measure(engine: MeasuredEngine, seeded: SeedData, folder: Path) -> Section:
        records = create_costly_records(engine.url, seeded)
        with running_server(engine.url, DEFAULT_WORKERS[engine.name], folder / "server.log") as server:
            shapes = list(_shape_rounds(server, seeded))
            beside = list(_beside(server, seeded, records, folder, options.seconds))
        missed = any(small.p99_milliseconds > TARGET_P99_MILLISECONDS for _, _, small in beside)
        return Section([*_shape_table(shapes), "", *_beside_table(beside)], missed)

    conditions = f". Target: p99 of the small lists ≤ {TARGET_P99_MILLISECONDS} ms."
    return write_page(options, "Worst cases", __doc__, conditions, measure)


def _shape_rounds(server: BenchmarkServer, seeded: SeedData) -> Iterator[tuple[str, Sample]]:
    """Every shape once to a fresh server, then again."""
    shapes = CostlyCalls("shapes", different_shapes(seeded), 1, once=True)
    for name in ("first call of a shape", "second call", "third call"):
        timings = _Timings()
        started = time.perf_counter()
        with _callers_of(shapes, server.port, seeded.token, timings):
            pass
        yield name, timings.sample(time.perf_counter() - started)


def _beside(
    server: BenchmarkServer, seeded: SeedData, records: CostlyRecords, folder: Path, seconds: float
) -> Iterator[tuple[str, Sample | None, Sample]]:
    """The small lists alone, then beside each kind of costly call."""
    load = LoadPlan(small_lists(seeded), server.port, records.restricted_token, 1, seconds, False, folder)
    measure_load(load)
    yield "nothing else", None, measure_load(load)
    for calls in costly_calls(seeded, records):
        timings = _Timings()
        with _callers_of(calls, server.port, seeded.token, timings):
            small = measure_load(load)
        if timings.errors:
            raise RuntimeError(f"{calls.name}: {timings.errors} answers were neither 200 nor 503")
        yield calls.name, timings.sample(seconds), small


@contextmanager
def _callers_of(calls: CostlyCalls, port: int, token: str, timings: _Timings) -> Iterator[None]:
    """Threads that send the calls during the block, or each call once where they can be sent only once."""
    numbers, lock = count(), threading.Lock()

    def repeat(over: threading.Event) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        while not over.is_set() or calls.once:
            number = next(numbers)
            if calls.once and number >= len(calls.requests):
                break
            began = time.perf_counter_ns()
            status = _send(connection, token, calls.requests[number % len(calls.requests)])
            with lock:
                timings.durations.append(time.perf_counter_ns() - began)
                timings.errors += status not in (200, 503)
        connection.close()

    with calling(repeat, calls.callers):
        yield


def _send(connection: HTTPConnection, token: str, request: HttpRequest) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if request.target == "/api/token":
        headers = {"Content-Type": _FORM}
    connection.request(request.method, request.target, request.body.encode() or None, headers)
    response = connection.getresponse()
    response.read()
    return response.status


def _shape_table(rounds: Sequence[tuple[str, Sample]]) -> list[str]:
    rows = [(name, f"{each.p50_milliseconds:.2f}", f"{each.p99_milliseconds:.2f}") for name, each in rounds]
    return markdown((f"{SHAPES:,} shapes, each once", "p50 ms", "p99 ms"), rows)


def _beside_table(beside: Sequence[tuple[str, Sample | None, Sample]]) -> list[str]:
    rows = [
        (name,
         *((f"{own.per_second:.1f}", f"{own.p50_milliseconds:.1f}", f"{own.p99_milliseconds:.1f}") if own else ("", "", "")),
         f"{small.p50_milliseconds:.2f}", f"{small.p99_milliseconds:.2f}", str(small.errors))
        for name, own, small in beside
    ]  # fmt: skip
    headings = ("costly calls", "a second", "p50 ms", "p99 ms", "small lists p50 ms", "p99 ms", "errors")
    return markdown(headings, rows)


if __name__ == "__main__":
    sys.exit(main())
