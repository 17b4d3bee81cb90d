"""Load from outside the server: wrk where it is installed, else a small generator of its own.

Every connection sends its next request when the answer to the last is there (a closed loop).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.samples import Sample, sample_of

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request; `target` is path and query."""

    method: str
    target: str
    body: str = ""

    @property
    def line(self) -> str:
        return f"{self.method}\t{self.target}\t{self.body}"


@dataclass(frozen=True, slots=True)
class Load:
    """Which requests go where, over how many connections, for how long."""

    asks: Sequence[Ask]
    port: int
    token: str
    clients: int
    seconds: float
    keyed: bool
    folder: Path


def generator_name() -> str:
    if shutil.which("wrk"):
        return "wrk, one thread, in a process of its own"
    return "the generator in benchmarks/load.py, in a process of its own"


def put_under_load(load: Load) -> Sample:
    """One sample of the answers a server gives."""
    file = load.folder / "requests.tsv"
    file.write_text("".join(f"{ask.line}\n" for ask in load.asks))
    seed = str(random.randrange(1, 2**31))
    tail = [str(file), load.token, seed, *(["keys"] if load.keyed else [])]
    if shutil.which("wrk"):
        seconds = max(1, round(load.seconds))
        command = [
            "wrk", "-t", "1", "-c", str(load.clients), "-d", f"{seconds}s", "--timeout", "10s",
            "-s", str(_SCRIPT), f"http://127.0.0.1:{load.port}", "--", *tail,
        ]  # fmt: skip
    else:
        plan = [str(load.port), str(load.clients), str(load.seconds)]
        command = [sys.executable, "-m", "benchmarks.load", *plan, *tail]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=load.seconds + _GRACE_SECONDS, check=True
    )
    [result] = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    requests, microseconds, errors, p50, p99 = (float(word) for word in result.split()[1:])
    return Sample(requests / (microseconds / 1e6), p50 / 1e3, p99 / 1e3, int(errors))


@dataclass(slots=True)
class _Plan:
    """What the connections of the own generator share."""

    heads: list[tuple[bytes, bytes]]
    keyed: bool
    seed: str
    ends: float
    sent: int = 0
    errors: int = 0
    took: list[int] = field(default_factory=list)

    def next_request(self) -> bytes:
        head, body = random.choice(self.heads)
        self.sent += 1
        key = f"Idempotency-Key: {self.seed}-{self.sent}\r\n".encode() if self.keyed else b""
        return head + key + b"\r\n" + body


class _Connection(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, plan: _Plan, over: asyncio.Future[None]) -> None:
        self.plan, self.over = plan, over
        self.buffer, self.asked = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.asked = time.perf_counter_ns()
        self.transport.write(self.plan.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(rest) < int(length or 0):
            return
        self.plan.took.append(time.perf_counter_ns() - self.asked)
        self.plan.errors += not head.startswith(b"HTTP/1.1 2")
        self.buffer = b""
        if time.perf_counter() < self.plan.ends:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _head(ask: Ask, token: str) -> tuple[bytes, bytes]:
    body = ask.body.encode()
    lines = (
        f"{ask.method} {ask.target} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode(), body


async def _generate(
    port: int, clients: int, seconds: float, file: Path, token: str, seed: str, keyed: bool
) -> None:
    lines = (line.split("\t") for line in file.read_text().splitlines())
    heads = [_head(Ask(method, target, body), token) for method, target, body in lines]
    began = time.perf_counter()
    plan = _Plan(heads, keyed, seed, began + seconds)
    loop = asyncio.get_running_loop()
    over = [loop.create_future() for _ in range(clients)]
    for each in over:
        await loop.create_connection(partial(_Connection, plan, each), "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*over), seconds + _GRACE_SECONDS)
    lasted = time.perf_counter() - began
    sample = sample_of(plan.took, lasted, plan.errors)
    print(
        f"RESULT {len(plan.took)} {lasted * 1e6:.0f} {plan.errors} "
        f"{sample.p50_milliseconds * 1e3:f} {sample.p99_milliseconds * 1e3:f}"
    )


if __name__ == "__main__":
    port, clients, seconds, file, token, seed, *keys = sys.argv[1:]
    asyncio.run(
        _generate(int(port), int(clients), float(seconds), Path(file), token, seed, bool(keys))
    )
