"""The request log: one line for each request, as JSON or, on a terminal, as text.

A line has no path, query, e-mail, name or token: the route, the numeric id of the user, and the first digits of a
digest of the idempotency key.
"""

from __future__ import annotations

import os
import threading
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from collections import deque
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.json import Encoder

from creditdesk.telemetry.metrics import LOG_LINES_DROPPED
from creditdesk.telemetry.request_record import RequestRecord

FLUSH_SECONDS: Final = 0.05
"""How long a line may wait for others, in seconds; a killed process loses the lines of that time."""

MAX_WAITING_LINES: Final = 100_000
"""The most lines that wait for a slow reader; more are dropped and counted."""


class RequestLine(Struct, frozen=True, gc=False, omit_defaults=True):
    """A line of the log; `ms` and `db_ms` are milliseconds. Zero and null are left out."""

    time: datetime
    event: str
    id: str
    method: str
    route: str
    status: int
    ms: float
    db_ms: float = 0.0
    batch: int = 0
    user: int | None = None
    key: str | None = None
    trace: str | None = None


_encode: Final = Encoder().encode


def json_line(method: str, record: RequestRecord, seconds: float, now: datetime) -> bytes:
    """A request as one line of JSON."""
    return (
        _encode(
            RequestLine(
                now,
                "request",
                record.request_id.decode(),
                method,
                record.route,
                record.status,
                round(seconds * 1000, 2),
                round(record.database_seconds * 1000, 2),
                record.batch,
                record.user_id,
                record.key,
                record.trace_id,
            )
        )
        + b"\n"
    )


def text_line(method: str, record: RequestRecord, seconds: float, now: datetime) -> bytes:
    """A request as a line for people."""
    user = f" user {record.user_id}" if record.user_id else ""
    return f"{now:%H:%M:%S} {record.status} {method} {record.route} {seconds * 1000:.1f} ms{user}\n".encode()


class RequestLog:
    """Writes lines to a file descriptor on a thread, so that a slow reader delays no request."""

    def __init__(self, descriptor: int, *, as_text: bool) -> None:
        self._descriptor = descriptor
        self._format = text_line if as_text else json_line
        self._waiting: deque[bytes] = deque()
        self._timer: TimerHandle | None = None
        self._loop: AbstractEventLoop | None = None
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="request log", daemon=True)
        self._thread.start()

    def __call__(self, method: str, record: RequestRecord, seconds: float) -> None:
        """Takes a request that has ended."""
        if len(self._waiting) >= MAX_WAITING_LINES:
            LOG_LINES_DROPPED.count()
            return
        self._waiting.append(self._format(method, record, seconds, datetime.now(UTC)))
        if self._timer is None:
            self._loop = self._loop or get_running_loop()
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)

    def close(self, seconds: float = 2.0) -> None:
        """Writes pending lines for at most this many seconds."""
        self._closed = True
        self._wake.set()
        self._thread.join(seconds)

    def _flush(self) -> None:
        self._timer = None
        self._wake.set()

    def _write(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                lines = [self._waiting.popleft() for _ in range(min(len(self._waiting), 1000))]
                try:
                    _write_all(self._descriptor, b"".join(lines))
                except OSError:
                    # Nobody reads the log any more, which must not affect requests.
                    for _ in lines:
                        LOG_LINES_DROPPED.count()
            if self._closed:
                return


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
