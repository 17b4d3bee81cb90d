"""The demo is whole or not there, and the same whoever makes its records."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from multiprocessing import active_children
from typing import Any

import pytest

from creditdesk.audit.verify import verify
from creditdesk.demo import load
from creditdesk.demo.load import NotEmpty, pieces_of, tell
from creditdesk.demo.worker import made_ahead
from creditdesk.schema.progress import Gathered, Silent
from creditdesk.schema.repository import Store

NewStore = Callable[[], Awaitable[Store]]


class Interrupted(Exception):
    """Someone pressed a key."""


class Interrupting(Silent):
    """A watcher in whose sight it breaks off."""

    def advance(self, rows: int) -> None:
        raise Interrupted


def die(uses: int, seed: int) -> Iterator[int]:
    """One piece, and then the process is gone."""
    yield uses + seed
    os._exit(1)


async def test_a_demo_that_breaks_off_leaves_an_empty_database_for_the_next(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "ROWS_OF_A_PIECE", 200)
    store = await new_store()
    with pytest.raises(Interrupted):
        await tell(store, 120, 3, Interrupting())
    await tell(store, 120, 3, Silent())
    with pytest.raises(NotEmpty):
        await tell(store, 120, 3, Silent())
    report = Gathered()
    assert await verify(store, report) > 120
    assert report.problems == []


async def test_another_process_makes_the_same_records() -> None:
    async with aclosing(made_ahead(pieces_of, 120, 3)) as pieces:
        made: list[Any] = [piece async for piece in pieces]
    assert made == list(pieces_of(120, 3))


async def test_the_demo_of_many_uses_is_made_by_another_process(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "USES_WORTH_A_PROCESS", 100)
    store = await new_store()
    await tell(store, 120, 3, Silent())
    report = Gathered()
    assert await verify(store, report) > 120
    assert report.problems == []


async def test_a_maker_that_dies_is_told_apart_from_one_that_is_done() -> None:
    async with aclosing(made_ahead(die, 1, 2)) as pieces:
        assert await anext(pieces) == 3
        with pytest.raises(ChildProcessError):
            await anext(pieces)


async def test_whoever_stops_listening_ends_the_process_that_makes() -> None:
    async with aclosing(made_ahead(pieces_of, 100_000, 3)) as pieces:
        assert await anext(pieces)
    assert not [child for child in active_children() if child.is_alive()]
