"""Ends a read whose caller has disconnected, so that the database works for those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from starlette.types import Receive

WATCH_AFTER_SECONDS: Final = 0.1
"""Most reads are answered before, and cost no watching."""

ResultT = TypeVar("ResultT")


class CallerDisconnected(Exception):
    """The caller no longer waits for an answer."""


async def unless_disconnected(receive: Receive, read: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """The result of `read`, which is cancelled when the caller disconnects; it must not read the body.

    Raises CallerDisconnected.
    """
    task = asyncio.current_task()
    assert task is not None
    watcher: asyncio.Task[None] | None = None
    disconnected = False

    async def watch() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        task.cancel()

    def start() -> None:
        nonlocal watcher
        watcher = asyncio.create_task(watch())

    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, start)
    try:
        return await read()
    except asyncio.CancelledError:
        if disconnected and task.uncancel() == 0:
            raise CallerDisconnected from None
        raise
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
