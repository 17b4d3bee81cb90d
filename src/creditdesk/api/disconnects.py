"""Cancels reads whose caller has disconnected, to free the database for others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final, TypeVar

from msgspec import Struct
from starlette.types import Receive

WATCH_AFTER_SECONDS: Final = 0.1
"""Most reads end before and are never watched."""

ResultT = TypeVar("ResultT")


class CallerDisconnected(Exception):
    """The caller no longer waits for the response."""


class _WatchedRead(Struct, eq=False):
    """A running read; it gets a watcher after `WATCH_AFTER_SECONDS`."""

    task: asyncio.Task[Any]
    receive: Receive
    started: float
    watcher: asyncio.Task[None] | None = None
    is_abandoned: bool = False

    async def end_on_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.is_abandoned = True
        self.task.cancel()


class DisconnectWatch:
    """The running reads of one application. They share a timer: one for each would cost more than the watching."""

    def __init__(self) -> None:
        self._unwatched: dict[_WatchedRead, None] = {}
        self._has_timer = False

    async def watch(self, receive: Receive, read: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Awaits `read` and cancels it when the caller disconnects. `read` must not receive the body.

        Raises CallerDisconnected.
        """
        task = asyncio.current_task()
        assert task is not None
        watched = _WatchedRead(task, receive, monotonic())
        self._unwatched[watched] = None
        if not self._has_timer:
            self._set_timer(WATCH_AFTER_SECONDS)
        try:
            return await read
        except asyncio.CancelledError:
            if watched.is_abandoned and task.uncancel() == 0:
                raise CallerDisconnected from None
            raise
        finally:
            self._unwatched.pop(watched, None)
            if watched.watcher is not None:
                watched.watcher.cancel()

    def _set_timer(self, seconds: float) -> None:
        self._has_timer = True
        asyncio.get_running_loop().call_later(seconds, self._watch_long_ones)

    def _watch_long_ones(self) -> None:
        """Gives a watcher to each read that has run for long enough, the oldest first."""
        self._has_timer = False
        now = monotonic()
        for watched in list(self._unwatched):
            remaining = watched.started + WATCH_AFTER_SECONDS - now
            if remaining > 0:
                self._set_timer(remaining)
                return
            del self._unwatched[watched]
            watched.watcher = asyncio.create_task(watched.end_on_disconnect())
