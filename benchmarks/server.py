"""The servers that are measured, started as an operator starts them and stopped by their process ids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Final

from benchmarks.load import HttpRequest

START_TIMEOUT_SECONDS: Final = 120
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
def running_server(url: str, workers: int, log: Path, *flags: str) -> Iterator[BenchmarkServer]:
    """Runs `creditdesk serve` over a database, with further flags, during the block."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--database", url, *flags]
    began = time.monotonic()
    with running_process([sys.executable, "-c", _COMMAND, "serve", *options], port, log, ready="/ready") as pid:
        yield BenchmarkServer(port, pid, time.monotonic() - began)


@contextmanager
def running_process(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    ready: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    start_seconds: int = START_TIMEOUT_SECONDS,
) -> Iterator[int]:
    """Runs a program that listens on `port` during the block; the id of its process.

    It is ready when it answers the path `ready` with a status below 500. Raises RuntimeError, with its log,
    where that takes longer than `start_seconds`.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(environment or {})}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_ready(port, ready, process, log, start_seconds)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _wait_until_ready(port: int, path: str, process: subprocess.Popen[bytes], log: Path, seconds: int) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        with suppress(OSError):
            if send_request(port, "", HttpRequest("GET", path))[0] < 500:
                return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def send_request(port: int, token: str, ask: HttpRequest) -> tuple[int, bytes]:
    """The status and body of one request, outside a measurement."""
    response, body = send_and_read(port, token, ask)
    return response.status, body


def send_and_read(port: int, token: str, ask: HttpRequest) -> tuple[HTTPResponse, bytes]:
    """The response to one request, with its headers, and the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(ask.method, ask.target, ask.body.encode() or None, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()
