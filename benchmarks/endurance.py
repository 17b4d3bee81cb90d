"""Memory of a server over very many requests: `python -m benchmarks.endurance`.

Sends mixed calls to a server with two workers (lists, records, balances, spends with keys, previews, pages of the
console, reports, sign-ins) and notes the memory of each worker at equal steps. Writes
benchmarks/results/endurance-ENGINE.md.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import psutil

from benchmarks import report
from benchmarks.engines import ENGINES, MeasuredEngine, database_folder, running_engine, seed_engine
from benchmarks.load import EncodedRequest, GeneratorState, HttpRequest, encode_request, run_connections
from benchmarks.machine import describe_machine
from benchmarks.scenarios import all_scenarios
from benchmarks.seeding import SeedData
from benchmarks.server import BenchmarkServer, running_server
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.users_admin import create_user
from creditdesk.storage.engine import open_store

WORKERS: Final = 2
CLIENTS: Final = 16
FLAT_PERCENT: Final = 5.0
"""The most that the memory of a worker may grow over the second half of all requests."""

_EMAIL: Final = "endurance@example.com"
_PASSWORD: Final = "the endurance of a server"  # noqa: S105 - of a temporary database
_MEBIBYTE: Final = 2**20
SHARES: Final = {
    "list": 2400, "get": 2000, "credit": 500, "keyed": 2500, "booking": 500, "preview": 500, "balance": 1000,
    "console": 500, "report": 20, "sign-in": 50,
}  # fmt: skip
"""How often each kind of call is sent, in parts of their sum."""


@dataclass(slots=True)
class _MixedCalls(GeneratorState):
    """Kinds of calls by their shares, until so many have been sent."""

    kinds: dict[str, list[EncodedRequest]] = field(default_factory=dict)
    total: int = 0
    answered: int = 0
    unexpected: Counter[str] = field(default_factory=Counter)

    def next_request(self) -> bytes:
        [kind] = random.choices(list(SHARES), list(SHARES.values()))
        chosen = random.choice(self.kinds[kind])
        self.sent += 1
        keyed = kind in ("keyed", "booking")
        key = f"Idempotency-Key: {self.seed}-{self.sent}\r\n".encode() if keyed else b""
        return chosen.head + key + b"\r\n" + chosen.body

    def is_over(self) -> bool:
        return self.sent >= self.total or time.monotonic() >= self.ends

    def take_answer(self, head: bytes, nanoseconds: int) -> None:
        del nanoseconds
        self.answered += 1
        status = head.partition(b"\r\n")[0]
        if not status.startswith(b"HTTP/1.1 2"):
            self.unexpected[status.decode()] += 1


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """Memory of each worker after so many requests, in MiB: resident, and of it not shared with others.

    `processor` has the seconds of processor time that each has taken, which shows how the requests were shared out.
    """

    requests: int
    seconds: float
    resident: tuple[float, ...]
    private: tuple[float, ...]
    processor: tuple[float, ...]


def mixed_calls(there: SeedData, engine: MeasuredEngine) -> dict[str, list[EncodedRequest]]:
    """The requests of each kind."""
    bearer = f"Authorization: Bearer {there.token}"
    calls = {
        each.name: [encode_request(ask, bearer) for ask in each.requests]
        for each in all_scenarios(there, engine.dialect)
        if each.name in SHARES
    }
    balances = [HttpRequest("GET", f"/api/ledger/balances?CoworkerId={who}") for who, _ in there.customers]
    calls["balance"] = [encode_request(ask, bearer) for ask in balances]
    pages = ["/console/", "/console/reports", "/console/admin/jobs"]
    pages += [f"/console/customers/{who}" for who, _ in there.customers]
    cookie = f"Cookie: creditdesk-local={there.token}"
    calls["console"] = [encode_request(HttpRequest("GET", path), cookie) for path in pages]
    customers = [f"/api/reports/statement?CoworkerId={who}" for who, _ in there.customers]
    calls["report"] = [encode_request(HttpRequest("GET", path), bearer) for path in customers]
    form = urlencode({"grant_type": "password", "username": _EMAIL, "password": _PASSWORD})
    sign_in = HttpRequest("POST", "/api/token", form)
    calls["sign-in"] = [encode_request(sign_in, "Accept: */*", "application/x-www-form-urlencoded")]
    return calls


async def add_user(url: str) -> None:
    """Adds the user that signs in, unless it exists."""
    store = await open_store(url)
    try:
        async with store.write_session() as session:
            if await find_user_id(session, _EMAIL) is None:
                await create_user(session, _EMAIL, _PASSWORD, "Endurance", is_admin=True, now=datetime.now(UTC))
    finally:
        await store.close()


def measure_memory(pid: int, requests: int, seconds: float) -> MemoryPoint:
    """The memory of the server's workers, oldest first."""
    workers = [each for each in psutil.Process(pid).children() if each.memory_info().rss > 20 * _MEBIBYTE]
    workers.sort(key=lambda each: each.pid)
    used = [each.memory_full_info() for each in workers]
    return MemoryPoint(
        requests,
        seconds,
        tuple(each.rss / _MEBIBYTE for each in used),
        tuple(each.uss / _MEBIBYTE for each in used),
        tuple(sum(each.cpu_times()[:2]) for each in workers),
    )


async def run_load(
    calls: dict[str, list[EncodedRequest]], server: BenchmarkServer, options: argparse.Namespace
) -> tuple[list[MemoryPoint], Counter[str]]:
    """Sends all requests; the memory after every so many of them, and the answers that nobody expected."""
    began = time.monotonic()
    seed, ends = f"endurance-{random.randrange(2**31)}", began + 60 * options.minutes
    plan = _MixedCalls((), True, seed, ends, kinds=calls, total=options.requests)
    points = [measure_memory(server.pid, 0, 0.0)]
    load = asyncio.create_task(run_connections(plan, server.port, CLIENTS))
    while not load.done():
        await asyncio.wait([load], timeout=1.0)
        if plan.answered >= len(points) * options.every or load.done():
            points.append(measure_memory(server.pid, plan.answered, time.monotonic() - began))
            print(points[-1], dict(plan.unexpected), flush=True)
    await load
    return points, plan.unexpected


def growth_percent(points: Sequence[MemoryPoint]) -> float:
    """How much the private memory of all workers grew over the second half, in per cent."""
    middle = points[len(points) // 2]
    return (sum(points[-1].private) / sum(middle.private) - 1) * 100


def render(engine: MeasuredEngine, points: Sequence[MemoryPoint], unexpected: Counter[str], uses: int) -> str:
    """The page of one engine."""
    growth = growth_percent(points)
    columns = ("requests", "minutes", *(f"worker {n + 1}: resident, private, processor s" for n in range(WORKERS)))
    rows = [
        (
            f"{each.requests:,}",
            f"{each.seconds / 60:.1f}",
            *(
                f"{rss:.1f}, {own:.1f}, {busy:,.0f}"
                for rss, own, busy in zip(each.resident, each.private, each.processor, strict=True)
            ),
        )
        for each in points
    ]
    shares = ", ".join(f"{name} {share / sum(SHARES.values()):.1%}" for name, share in SHARES.items())
    lines = [
        f"# Endurance: {engine.name}",
        "",
        f"Memory of a server with {WORKERS} workers over {points[-1].requests:,} requests, in MiB. Written by",
        f"`python -m benchmarks.endurance --engine {engine.name}` on {datetime.now(UTC):%Y-%m-%d}.",
        "",
        f"- {describe_machine()}",
        f"- {engine.title}; {uses:,} uses of money credit at the start",
        f"- Calls: {shares}",
        f"- Answers other than expected: {dict(unexpected) or 'none'}",
        f"- Growth of the private memory over the second half: {growth:+.1f} % (flat is at most {FLAT_PERCENT:g} %)",
        "",
        *report.markdown(columns, rows),
    ]
    return "\n".join(lines) + "\n"


def _measure(name: str, options: argparse.Namespace) -> bool:
    with (
        database_folder(options.folder, f"{name}-{options.rows}") as folder,
        running_engine(name, CLIENTS, folder) as engine,
    ):
        there = seed_engine(engine, options.rows)
        asyncio.run(add_user(engine.url))
        calls = mixed_calls(there, engine)
        with running_server(engine.url, WORKERS, folder / "server.log") as server:
            points, unexpected = asyncio.run(run_load(calls, server, options))
        page = options.out / f"endurance-{name}.md"
        page.write_text(render(engine, points, unexpected, there.uses))
        print(page.read_text())
        return growth_percent(points) <= FLAT_PERCENT and not unexpected


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, help="only this one")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=240, help="end after so many, if requests are left")
    parser.add_argument("--every", type=int, default=50_000, help="requests between two looks at the memory")
    parser.add_argument("--rows", type=int, default=100_000, help="uses in the demo, of both types")
    parser.add_argument("--folder", type=Path, help="keeps the databases for further runs")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder of the pages")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse_options(arguments)
    flat = [_measure(name, options) for name in ([options.engine] if options.engine else ENGINES)]
    return 0 if all(flat) else 1


if __name__ == "__main__":
    sys.exit(main())
