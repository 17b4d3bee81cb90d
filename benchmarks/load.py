"""Load on the server: wrk where it is installed, else a small generator.

Each connection sends its next request when the last is answered (a closed loop).
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

from benchmarks.samples import Sample, summarize

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request; `target` is path and query."""

    method: str
    target: str
    body: str = ""

    @property
    def line(self) -> str:
        return f"{self.method}\t{self.target}\t{self.body}"


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request as it is sent: the request line and headers, without the blank line, and the body."""

    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Requests, their server, the number of connections and the duration."""

    requests: Sequence[HttpRequest]
    port: int
    token: str
    clients: int
    seconds: float
    idempotency_keys: bool
    folder: Path


def generator_name() -> str:
    if shutil.which("wrk"):
        return "wrk, one thread, in a process of its own"
    return "the generator in benchmarks/load.py, in a process of its own"


def measure_load(load: LoadPlan) -> Sample:
    """One sample of a server under load."""
    file = load.folder / "requests.tsv"
    file.write_text("".join(f"{ask.line}\n" for ask in load.requests))
    seed = str(random.randrange(1, 2**31))
    tail = [str(file), load.token, seed, *(["keys"] if load.idempotency_keys else [])]
    if shutil.which("wrk"):
        seconds = max(1, round(load.seconds))
        command = [
            "wrk", "-t", "1", "-c", str(load.clients), "-d", f"{seconds}s", "--timeout", "10s",
            "-s", str(_SCRIPT), f"http://127.0.0.1:{load.port}", "--", *tail,
        ]  # fmt: skip
    else:
        plan = [str(load.port), str(load.clients), str(load.seconds)]
        command = [sys.executable, "-m", "benchmarks.load", *plan, *tail]
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + _GRACE_SECONDS, check=True)
    [result] = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    requests, microseconds, errors, p50, p99 = (float(word) for word in result.split()[1:])
    return Sample(requests / (microseconds / 1e6), p50 / 1e3, p99 / 1e3, int(errors))


@dataclass(slots=True)
class GeneratorState:
    """State that the connections of the generator share: encoded requests of equal chance, and the end."""

    requests: Sequence[EncodedRequest]
    idempotency_keys: bool
    seed: str
    ends: float
    sent: int = 0
    errors: int = 0
    durations: list[int] = field(default_factory=list)

    def next_request(self) -> bytes:
        chosen = random.choice(self.requests)
        self.sent += 1
        key = f"Idempotency-Key: {self.seed}-{self.sent}\r\n".encode() if self.idempotency_keys else b""
        return chosen.head + key + b"\r\n" + chosen.body

    def is_over(self) -> bool:
        return time.perf_counter() >= self.ends

    def take_answer(self, head: bytes, nanoseconds: int) -> None:
        """Counts a response, of which `head` is the status line and the headers."""
        self.durations.append(nanoseconds)
        self.errors += not head.startswith(b"HTTP/1.1 2")


class ClosedLoopConnection(asyncio.Protocol):
    """One connection, which sends its next request when the last is answered.

    `over` becomes True at the end of the load or when the connection breaks, and False where the server asks for
    another connection.
    """

    def __init__(self, plan: GeneratorState, over: asyncio.Future[bool]) -> None:
        self.plan, self.finished = plan, over
        self.buffer, self.sent_at = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent_at = time.perf_counter_ns()
        self.transport.write(self.plan.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(rest) < int(length or 0):
            return
        self.plan.take_answer(head, time.perf_counter_ns() - self.sent_at)
        self.buffer = b""
        if self.plan.is_over():
            self.transport.close()
        elif b"\r\nconnection: close" in head.lower():
            self.finished.set_result(False)
            self.transport.close()
        else:
            self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(True)


def encode_request(ask: HttpRequest, credentials: str, content_type: str = "application/json") -> EncodedRequest:
    """A request with a header line that identifies the caller."""
    body = ask.body.encode()
    lines = (
        f"{ask.method} {ask.target} HTTP/1.1", "Host: 127.0.0.1", credentials,
        f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "",
    )  # fmt: skip
    return EncodedRequest("\r\n".join(lines).encode(), body)


async def run_connections(plan: GeneratorState, port: int, clients: int) -> None:
    """Runs so many connections until the plan is over; one that the server ends in good order is followed by another."""
    loop = asyncio.get_running_loop()

    async def run_client() -> None:
        is_over = False
        while not is_over:
            over = loop.create_future()
            await loop.create_connection(partial(ClosedLoopConnection, plan, over), "127.0.0.1", port)
            is_over = await over

    await asyncio.gather(*(run_client() for _ in range(clients)))


async def _generate(port: int, clients: int, seconds: float, requests: str, token: str, seed: str, keyed: bool) -> None:
    lines = (line.split("\t") for line in requests.splitlines())
    caller = f"Authorization: Bearer {token}"
    encoded = [encode_request(HttpRequest(method, target, body), caller) for method, target, body in lines]
    began = time.perf_counter()
    plan = GeneratorState(encoded, keyed, seed, began + seconds)
    await asyncio.wait_for(run_connections(plan, port, clients), seconds + _GRACE_SECONDS)
    lasted = time.perf_counter() - began
    sample = summarize(plan.durations, lasted, plan.errors)
    print(
        f"RESULT {len(plan.durations)} {lasted * 1e6:.0f} {plan.errors} "
        f"{sample.p50_milliseconds * 1e3:f} {sample.p99_milliseconds * 1e3:f}"
    )


if __name__ == "__main__":
    port, clients, seconds, file, token, seed, *keys = sys.argv[1:]
    asyncio.run(_generate(int(port), int(clients), float(seconds), Path(file).read_text(), token, seed, bool(keys)))
