"""The server under test, started as an operator starts it and stopped by its process id."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from benchmarks.load import HttpRequest

START_TIMEOUT_SECONDS: Final = 30
_COMMAND: Final = "from creditdesk.cli import main; main()"


@dataclass(frozen=True, slots=True)
class BenchmarkServer:
    """A server that listens on loopback."""

    port: int
    pid: int
    ready_seconds: float


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(url: str, workers: int, log: Path) -> Iterator[BenchmarkServer]:
    """Runs `creditdesk serve` over a database during the block."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--database", url]
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, "serve", *options],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_until_ready(port, process, log)
            yield BenchmarkServer(port, process.pid, time.monotonic() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        try:
            if send_request(port, "", HttpRequest("GET", "/ready"))[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def send_request(port: int, token: str, ask: HttpRequest) -> tuple[int, bytes]:
    """The status and body of one request, outside a measurement."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(ask.method, ask.target, ask.body.encode() or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
