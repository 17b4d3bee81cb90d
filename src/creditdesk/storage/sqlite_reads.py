"""Reads on SQLite: the shortest on the event loop, others on threads.

A thread costs a short read more than its statement does. So every read starts on the event loop, and is
interrupted there after LOOP_SECONDS of work; what is not done by then runs on a thread, and what is not done
there after THREAD_SECONDS is a long read. Where the next read of the same text starts follows from the work of
this one, not from the clock: on a busy machine every read takes long, and threads would make it longer.
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
"""How long one read may work on the event loop."""

MAX_LOOP_SECONDS: Final = 0.01
"""A statement that held the event loop for longer, by the clock, runs on a thread the next time."""

THREAD_SECONDS: Final = 0.1
"""How long a read may take on a thread before it is a long read."""

MAX_THREADED_READS: Final = 4
MAX_LONG_READS: Final = 2
"""Reads that run on threads, and long reads, at once; further ones wait."""

LONG_READ_NICENESS: Final = 10
"""Long reads leave the processor to everything else."""

PROGRESS_STEPS: Final = 1000
"""Steps of SQLite's virtual machine, about 50 µs, between two looks at the clock."""

INTERRUPT_SECONDS: Final = 0.02
"""Between two interrupts of one statement: one that comes before the statement starts is lost."""

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

        Half of it goes by the clock, which costs little to read, and half by the work that follows.
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
        """The rows and the seconds of work, for a thread: no look at the clock takes the interpreter's lock.

        Work is processor time, and the time by the clock where the disk was read: not that of waiting for the
        interpreter or for a processor.
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
        """The rows of a SELECT; None for one that is to run on a thread. Raises sqlite3.Error."""
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
        """The rows of a SELECT that `fetch_at_once` left. Raises Unavailable when its time is over, and sqlite3.Error."""
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
        """Raises TimeoutError when the statement is not done after THREAD_SECONDS."""
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
        """Interrupts the statement when the task is cancelled."""
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
        """Interrupts what still runs."""
        while self._running:
            for connection in self._running:
                connection.interrupt()
            await asyncio.sleep(INTERRUPT_SECONDS)
        self._threads.shutdown()
        self._long_threads.shutdown()


def _lower_priority() -> None:
    """On Linux, where a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LONG_READ_NICENESS)
