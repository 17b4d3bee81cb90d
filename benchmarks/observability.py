"""What metrics and the request log cost each request (`python -m benchmarks.observability`).

Calls a small ASGI application plain, observed, and observed with a log, in turn, and prints the difference of
the processor time in microseconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from time import process_time
from typing import Final

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from creditdesk.telemetry.observer import RequestObserver
from creditdesk.telemetry.request_log import RequestLog

REQUESTS_PER_ROUND: Final = 50_000
ROUNDS: Final = 7
PAUSE_EVERY: Final = 50
"""Requests between two turns of the event loop, in which the log writes its lines."""

METRICS_LIMIT: Final = 2.0
LOG_LIMIT: Final = 5.0
_HEADERS: Final = [(b"host", b"localhost"), (b"authorization", b"Bearer x"), (b"accept", b"*/*"), (b"user-agent", b"-")]


async def _answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def _no_message() -> Message:
    return {"type": "http.disconnect"}


async def _ignore(_message: Message) -> None:
    return


async def _microseconds(app: ASGIApp) -> float:
    started = process_time()
    for number in range(REQUESTS_PER_ROUND):
        await app({"type": "http", "method": "GET", "path": "/", "headers": _HEADERS}, _no_message, _ignore)
        if number % PAUSE_EVERY == 0:
            await asyncio.sleep(0)
    return (process_time() - started) / REQUESTS_PER_ROUND * 1e6


async def measure() -> tuple[float, float]:
    """Microseconds of the metrics, and of the log beside them: the least of all rounds."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    log = RequestLog(descriptor, as_text=False)
    apps: list[ASGIApp] = [_answer, RequestObserver(_answer), RequestObserver(_answer, log)]
    rounds = [[await _microseconds(app) for app in apps] for _ in range(ROUNDS)]
    log.close()
    os.close(descriptor)
    plain, observed, logged = (min(figures) for figures in zip(*rounds, strict=True))
    return observed - plain, logged - observed


def main() -> int:
    metrics, log = uvloop.run(measure())
    print(f"metrics: {metrics:.1f} µs a request (at most {METRICS_LIMIT:g}), log: {log:.1f} µs (at most {LOG_LIMIT:g})")
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"load of the machine: {load}; figures of a busy one are too high")
    return 0 if metrics <= METRICS_LIMIT and log <= LOG_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
