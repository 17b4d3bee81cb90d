"""The demo is loaded completely or not at all, and is the same from either process."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from multiprocessing import active_children
from typing import Any

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.demo import load
from creditdesk.demo.load import DatabaseNotEmpty, load_demo, record_batches
from creditdesk.demo.worker import generate_in_process
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from tests.support.progress import CollectingReporter

NewStore = Callable[[], Awaitable[Store]]


class Interrupted(Exception):
    """Raised while the demo is being loaded."""


class InterruptingReport(NullReporter):
    """Raises at the first progress."""

    def advance(self, rows: int) -> None:
        raise Interrupted


def yield_once_then_exit(uses: int, seed: int) -> Iterator[int]:
    """Yields one item; then its process exits."""
    yield uses + seed
    os._exit(1)


@pytest.mark.parametrize("min_uses", [1 << 40, 100], ids=["here", "worker process"])
async def test_interrupted_demo_leaves_database_empty(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, min_uses: int
) -> None:
    monkeypatch.setattr(load, "MIN_USES_FOR_PROCESS", min_uses)
    monkeypatch.setattr(load, "ROWS_PER_BATCH", 200)
    store = await new_store()
    with pytest.raises(Interrupted):
        await load_demo(store, 120, 3, InterruptingReport())
    await load_demo(store, 120, 3, NullReporter())
    with pytest.raises(DatabaseNotEmpty):
        await load_demo(store, 120, 3, NullReporter())
    report = CollectingReporter()
    assert await verify_ledger(store, report) > 120
    assert report.problems == []


async def test_worker_process_generates_same_records() -> None:
    async with aclosing(generate_in_process(record_batches, 120, 3)) as batches:
        made: list[Any] = [batch async for batch in batches]
    assert made == list(record_batches(120, 3))


async def test_large_demo_uses_worker_process(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MIN_USES_FOR_PROCESS", 100)
    store = await new_store()
    await load_demo(store, 120, 3, NullReporter())
    report = CollectingReporter()
    assert await verify_ledger(store, report) > 120
    assert report.problems == []


async def test_crashed_worker_raises() -> None:
    async with aclosing(generate_in_process(yield_once_then_exit, 1, 2)) as batches:
        assert await anext(batches) == 3
        with pytest.raises(ChildProcessError):
            await anext(batches)


async def test_closing_generator_ends_worker_process() -> None:
    async with aclosing(generate_in_process(record_batches, 100_000, 3)) as batches:
        assert await anext(batches)
    assert not [child for child in active_children() if child.is_alive()]
