"""A real server process that a test can kill and restart."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

SOURCE_FOLDER = Path(__file__).parents[2] / "src"
START_TIMEOUT_SECONDS = 30.0

ENCRYPTION_KEY = "c2VydmVyLXByb2Nlc3MtdGVzdC1rZXktMzItYnl0ZXM="
"""The key of secrets that a server and the test's own application share."""


class ServerProcess:
    """`creditdesk serve` over one database on a free loopback port."""

    def __init__(self, database: str, log: Path, *options: str, **settings: str) -> None:
        self.database = database
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.metrics_address = ""
        self._settings = settings
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            # Its own process group, so that the server and its workers are killed together.
            self._process = subprocess.Popen(
                creditdesk_command("serve", "--port", str(self.port), "--database", self.database, *self._options),
                env=process_environment() | self._settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_TIMEOUT_SECONDS
        async with httpx.AsyncClient(base_url=self.address) as client:
            while time.monotonic() < until:
                assert self._process.poll() is None, self.log.read_text()
                try:
                    if (await client.get("/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server does not answer: {self.log.read_text()}")

    @property
    def pid(self) -> int | None:
        """The process id of the server, which starts the workers."""
        return self._process.pid if self._process else None

    def wait(self, seconds: float) -> int:
        """Waits until the server ends; returns its exit status. Raises TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Kills the server and its workers."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def run_verify(database: str) -> subprocess.CompletedProcess[str]:
    """Runs `creditdesk verify`."""
    return subprocess.run(
        creditdesk_command("verify", "--database", database),
        env=process_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def creditdesk_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "creditdesk", *arguments]


def process_environment() -> dict[str, str]:
    """The environment of the program, with a key of its own: no key file is created."""
    return {
        **os.environ,
        "PYTHONPATH": str(SOURCE_FOLDER),
        "CREDITDESK_AUTH_ENCRYPTION_KEY": ENCRYPTION_KEY,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
