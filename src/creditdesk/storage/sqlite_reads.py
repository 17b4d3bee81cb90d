"""Reads on SQLite: the shortest on the event loop, others on threads.

For a short read, a thread costs more than the statement. So every read starts on the event loop and is interrupted
there after LOOP_SECONDS of work; then it runs on a thread, and after THREAD_SECONDS there it becomes a long read.
Where the next read of the same text starts depends on the work of this one, not on the clock: on a busy machine
every read takes long, and threads would make it longer.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from time import monotonic, thread_time
from typing import Any, Final

from creditdesk.storage.long_reads import LongReads, SlowStatements

LOOP_SECONDS: Final = 0.002
"""How long one read may work on the event loop, in seconds."""

MAX_LOOP_SECONDS: Final = 0.01
"""A statement that blocked the event loop for longer, by the clock, runs on a thread the next time."""

THREAD_SECONDS: Final = 0.1
"""How long a read may take on a thread before it is a long read."""

MAX_THREADED_READS: Final = 4
MAX_LONG_READS: Final = 2
"""The number of concurrent reads on threads, and of long reads; more have to wait."""

LONG_READ_NICENESS: Final = 10
"""The niceness of long reads, which yield the processor to everything else."""

PROGRESS_STEPS: Final = 1000
"""The steps of SQLite's virtual machine between two checks of the clock, about 50 µs."""

INTERRUPT_SECONDS: Final = 0.02
"""The interval of interrupts of one statement: an interrupt before the statement starts is lost."""

_THREAD_USAGE: Final = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)

FetchedRows = list[tuple[Any, ...]]
ThreadConnection = Callable[[], AbstractContextManager["Connection"]]
"""A connection that nothing else uses during the block."""


class Connection(sqlite3.Connection):
    """A connection whose statements can have a deadline."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_limited = False
        self._deadline: float | None = None
        self._work_deadline: float | None = None
        self._watch_clock()

    def _watch_clock(self) -> None:
        self.set_progress_handler(self._is_late, PROGRESS_STEPS)

    def _is_late(self) -> bool:
        """Whether a limited statement has used up its time, which begins with the first call.

        The first half is measured by the clock, which is cheap to read, the second by processor time.
        """
        if not self._is_limited:
            return False
        now = monotonic()
        if self._deadline is None:
            self._deadline, self._work_deadline = now + LOOP_SECONDS / 2, None
            return False
        if now < self._deadline:
            return False
        if self._work_deadline is None:
            self._work_deadline = thread_time() + LOOP_SECONDS / 2
            return False
        return thread_time() > self._work_deadline

    def fetch_in_time(self, text: str, parameters: Sequence[Any]) -> FetchedRows:
        """Raises sqlite3.OperationalError with SQLITE_INTERRUPT after LOOP_SECONDS of processor time."""
        self._is_limited = True
        self._deadline = None
        try:
            return self.execute(text, parameters).fetchall()
        finally:
            self._is_limited = False

    def fetch(self, text: str, parameters: Sequence[Any]) -> tuple[FetchedRows, float]:
        """The rows and the seconds of work, for a thread: without checks of the clock, which need the interpreter lock.

        Work is processor time, or the time by the clock if the disk was read; it excludes waiting for the interpreter
        or a processor.
        """
        self.set_progress_handler(None, 0)
        began, worked, blocks = monotonic(), thread_time(), _disk_blocks()
        try:
            rows = self.execute(text, parameters).fetchall()
        finally:
            self._watch_clock()
        seconds = monotonic() - began if _disk_blocks() > blocks else thread_time() - worked
        return rows, seconds


def _disk_blocks() -> int:
    """The blocks that this thread has read from the disk."""
    return resource.getrusage(_THREAD_USAGE).ru_inblock


class Reader:
    """Executes reads, each for at most `statement_seconds` if given."""

    def __init__(self, statement_seconds: float | None = None) -> None:
        self._threaded = SlowStatements(LOOP_SECONDS)
        self._long = LongReads(MAX_LONG_READS, THREAD_SECONDS, statement_seconds)
        self._slots = asyncio.Semaphore(MAX_THREADED_READS)
        self._threads = ThreadPoolExecutor(MAX_THREADED_READS, "creditdesk-read")
        self._long_threads = ThreadPoolExecutor(MAX_LONG_READS, "creditdesk-long-read", _lower_priority)
        self._running: set[Connection] = set()

    def fetch_at_once(
        self, text: str, parameters: Sequence[Any], connection: Callable[[], Connection]
    ) -> FetchedRows | None:
        """The rows of a SELECT; None if it has to run on a thread. Raises sqlite3.Error."""
        if text in self._threaded:
            return None
        started = monotonic()
        try:
            rows = connection().fetch_in_time(text, parameters)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return None
        if monotonic() - started > MAX_LOOP_SECONDS:
            # Some steps, such as the count of a whole table, take long.
            self._threaded.record(text, float("inf"))
        return rows

    async def fetch_on_thread(
        self, text: str, parameters: Sequence[Any], thread_connection: ThreadConnection
    ) -> FetchedRows:
        """The rows of a SELECT that `fetch_at_once` left. Raises Unavailable at its deadline, and sqlite3.Error."""
        if text not in self._long.statements:
            with suppress(TimeoutError):
                return await self._fetch_briefly(text, parameters, thread_connection)
        async with self._long.slot(text):
            with thread_connection() as own:
                rows, seconds = await self._run_on_thread(self._long_threads, own, text, parameters)
        self._long.statements.record(text, seconds)
        self._threaded.record(text, seconds)
        return rows

    async def _fetch_briefly(
        self, text: str, parameters: Sequence[Any], thread_connection: ThreadConnection
    ) -> FetchedRows:
        """Executes a statement on a thread. Raises TimeoutError if it is not done after THREAD_SECONDS."""
        self._threaded.record(text, float("inf"))
        async with self._slots:
            async with asyncio.timeout(THREAD_SECONDS):
                with thread_connection() as own:
                    rows, seconds = await self._run_on_thread(self._threads, own, text, parameters)
        self._threaded.record(text, seconds)
        return rows

    async def _run_on_thread(
        self, threads: ThreadPoolExecutor, connection: Connection, text: str, parameters: Sequence[Any]
    ) -> tuple[FetchedRows, float]:
        """Executes a statement on a thread, and interrupts it if the task is cancelled."""
        work = asyncio.get_running_loop().run_in_executor(threads, connection.fetch, text, parameters)
        self._running.add(connection)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                connection.interrupt()
                await asyncio.wait([work], timeout=INTERRUPT_SECONDS)
            work.exception()
            raise
        finally:
            self._running.discard(connection)

    async def close(self) -> None:
        """Interrupts running reads."""
        while self._running:
            for connection in self._running:
                connection.interrupt()
            await asyncio.sleep(INTERRUPT_SECONDS)
        self._threads.shutdown()
        self._long_threads.shutdown()


def _lower_priority() -> None:
    """Lowers the priority of this thread on Linux, where threads have their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LONG_READ_NICENESS)
