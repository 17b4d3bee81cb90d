"""Where a read of SQLite runs follows from its work, not from how busy the machine is."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from creditdesk.storage import sqlite_reads
from creditdesk.storage.sqlite import open_connection
from creditdesk.storage.sqlite_reads import Connection, FetchedRows, Reader

SHORT = "SELECT 1"
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n"


class RecordedReads:
    """Reads by a reader; `places` says of each whether the event loop or a thread did it."""

    def __init__(self, path: Path) -> None:
        self.places: list[str] = []
        self.reader = Reader()
        self.connection = open_connection(str(path))

    async def fetch(self, text: str, *parameters: int) -> FetchedRows:
        def on_loop() -> Connection:
            self.places.append("loop")
            return self.connection

        @contextmanager
        def on_thread() -> Iterator[Connection]:
            self.places.append("thread")
            yield self.connection

        rows = self.reader.fetch_at_once(text, parameters, on_loop)
        return await self.reader.fetch_on_thread(text, parameters, on_thread) if rows is None else rows


@pytest_asyncio.fixture
async def reads(tmp_path: Path) -> AsyncIterator[RecordedReads]:
    opened = RecordedReads(tmp_path / "reads.db")
    yield opened
    await opened.reader.close()
    opened.connection.close()


async def test_a_read_that_waited_for_a_processor_returns_to_the_event_loop(
    reads: RecordedReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        # Each look at the clock is a second later, as on a machine that gives this process little time.
        busy.setattr(sqlite_reads, "monotonic", iter(range(1000)).__next__)
        for _ in range(4):
            assert await reads.fetch(SHORT) == [(1,)]

    assert await reads.fetch(SHORT) == [(1,)]
    assert reads.places == ["loop", "thread"] * 2 + ["loop"]


async def test_a_read_with_much_work_stays_on_threads_until_it_has_little(
    reads: RecordedReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, it does not become a long read.
    monkeypatch.setattr(sqlite_reads, "THREAD_SECONDS", 60)

    for steps in (300_000, 300_000, 1, 1):
        assert await reads.fetch(LONG, steps) == [(steps,)]

    assert reads.places == ["loop", "thread", "thread", "thread", "loop"]


async def test_work_is_processor_time_not_that_of_waiting_for_the_interpreter(reads: RecordedReads) -> None:
    ended = threading.Event()

    def hold_the_interpreter() -> None:
        while not ended.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=hold_the_interpreter) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        seconds = [reads.connection.fetch(SHORT, ())[1] for _ in range(20)]
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert sorted(seconds)[10] < sqlite_reads.LOOP_SECONDS


async def test_the_time_of_reading_from_the_disk_counts_as_work(
    reads: RecordedReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_reads, "_disk_blocks", iter((0, 8)).__next__)
    reads.connection.create_function("wait", 0, lambda: time.sleep(0.02))

    assert reads.connection.fetch("SELECT wait()", ())[1] >= 0.02
