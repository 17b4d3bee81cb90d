"""Companion processes of the server's workers: one serves the metrics, one runs scheduled jobs.

They are not threads of the server, because workers are forked from it: a lock that a thread holds at that moment, of
SQLite or of an import, would stay locked in the worker for ever.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from creditdesk.cli.output import echo

COMPANION_STOP_SECONDS: Final = 5.0
"""How long a companion may take to end before it is killed, in seconds."""

FIRST_RESTART_SECONDS: Final = 0.5
"""The wait before a companion that died is replaced, in seconds; doubled each time that the successor dies too."""

MAX_RESTART_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A companion that ran for this many seconds is taken to have started well."""

_PARENT_CHECK_SECONDS: Final = 1.0

_starting = threading.Lock()
# No worker is forked while a companion starts: it would keep locks of the start for ever.
os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release)


@contextmanager
def companion(name: str, run: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Runs `run(*arguments)`, a module-level function, in a new process during the block, and replaces it if it dies.

    SIGTERM ends it. It also ends when this process is killed.
    """
    kept = _Companion(name, run, arguments)
    try:
        yield
    finally:
        kept.stop()


class _Companion:
    """A process, and the thread that waits for its end to start the next one."""

    def __init__(self, name: str, run: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self._name, self._run, self._arguments = name, run, arguments
        self._stopping = threading.Event()
        self._start()
        self._watch = threading.Thread(target=self._replace_dead, name=f"watch of {name}", daemon=True)
        self._watch.start()

    def _start(self) -> None:
        arguments = (os.getpid(), self._run, self._arguments)
        with _starting:
            if not self._stopping.is_set():
                process = get_context("spawn").Process(target=_run, args=arguments, name=self._name, daemon=True)
                process.start()
                self._process = process

    def _replace_dead(self) -> None:
        wait = FIRST_RESTART_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            self._process.join()
            if time.monotonic() - started >= STEADY_SECONDS:
                wait = FIRST_RESTART_SECONDS
            if self._stopping.wait(wait):
                return
            wait = min(2 * wait, MAX_RESTART_SECONDS)
            echo(f"The process for {self._name} ended; another one starts.")
            self._start()

    def stop(self) -> None:
        """Ends the process, and kills it if that takes too long."""
        with _starting:
            self._stopping.set()
        # Only the thread waits for the process: two waiters would interfere with each other.
        for end in (self._process.terminate, self._process.kill):
            end()
            self._watch.join(COMPANION_STOP_SECONDS)
            if not self._watch.is_alive():
                break


def _run(parent: int, run: Callable[..., None], arguments: tuple[object, ...]) -> None:
    # Ctrl-C reaches every process of the terminal; the server ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="watch of the server", daemon=True).start()
    run(*arguments)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
