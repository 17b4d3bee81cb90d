"""A demo made by a process of its own, a piece ahead of whoever writes it down.

Making records and storing them take about as long, so side by side they take half the time. It
knows nothing of what a piece holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
Pieces = Callable[[int, int], Iterator[T]]


async def made_ahead(pieces: Pieces[T], uses: int, seed: int) -> AsyncGenerator[T]:
    """What `pieces(uses, seed)` gives, which must be a function of a module. Raises ChildProcessError
    when its process ends before it is done.
    """
    context = get_context("spawn")  # A fork would share this process's connections and threads.
    here, there = context.Pipe(duplex=False)
    maker = context.Process(target=_send, args=(pieces, uses, seed, there), daemon=True)
    maker.start()
    there.close()
    following = _next(here)
    try:
        while piece := await following:
            following = _next(here)
            yield piece
    finally:
        # Ended first, so that a thread that waits for its next piece is let go.
        maker.terminate()
        with suppress(ChildProcessError):
            await following
        await asyncio.to_thread(maker.join)
        here.close()


def _send(pieces: Pieces[T], uses: int, seed: int, there: Connection) -> None:
    with suppress(BrokenPipeError):
        for piece in pieces(uses, seed):
            there.send(piece)
        there.send(None)


def _next(here: Connection) -> asyncio.Task[Any]:
    """The next piece, or None after the last one, as soon as it is there."""

    def received() -> Any:
        try:
            return here.recv()
        except EOFError:
            raise ChildProcessError("the process that makes the demo ended too early") from None

    return asyncio.create_task(asyncio.to_thread(received))
