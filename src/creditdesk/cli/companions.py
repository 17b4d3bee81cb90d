"""Processes beside the server's workers: one for the page of metrics, one for scheduled jobs.

They are no threads of the server, because its workers are copies of it: a thread that holds a lock at that
moment, of SQLite or of an import, would leave the lock taken in the worker for ever.
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

COMPANION_STOP_SECONDS: Final = 5.0
"""How long a companion may take to end, before it is killed."""

_PARENT_CHECK_SECONDS: Final = 1.0


@contextmanager
def companion(name: str, run: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Runs `run(*arguments)`, a function of a module, in a new process during the block.

    SIGTERM ends it. It also ends when this process is killed.
    """
    process = get_context("spawn").Process(target=_run, args=(os.getpid(), run, arguments), name=name, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(COMPANION_STOP_SECONDS)
        process.kill()
        process.join()
        process.close()


def _run(parent: int, run: Callable[..., None], arguments: tuple[object, ...]) -> None:
    # Ctrl-C reaches every process of the terminal; the server ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="watch of the server", daemon=True).start()
    run(*arguments)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
