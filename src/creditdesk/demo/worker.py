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
BatchSource = Callable[[int, int], Iterator[T]]


async def generate_in_process(source: BatchSource[T], uses: int, seed: int) -> AsyncGenerator[T]:
    """What `pieces(uses, seed)` gives, which must be a function of a module. Raises ChildProcessError
    when its process ends before it is done.
    """
    context = get_context("spawn")  # A fork would share this process's connections and threads.
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_batches, args=(source, uses, seed, sender), daemon=True)
    process.start()
    sender.close()
    next_batch = _receive_next(receiver)
    try:
        while piece := await next_batch:
            next_batch = _receive_next(receiver)
            yield piece
    finally:
        # Ended first, so that a thread that waits for its next piece is let go.
        process.terminate()
        with suppress(ChildProcessError):
            await next_batch
        await asyncio.to_thread(process.join)
        receiver.close()


def _send_batches(source: BatchSource[T], uses: int, seed: int, sender: Connection) -> None:
    with suppress(BrokenPipeError):
        for piece in source(uses, seed):
            sender.send(piece)
        sender.send(None)


def _receive_next(receiver: Connection) -> asyncio.Task[Any]:
    """The next piece, or None after the last one, as soon as it is there."""

    def received() -> Any:
        try:
            return receiver.recv()
        except EOFError:
            raise ChildProcessError("the process that makes the demo ended too early") from None

    return asyncio.create_task(asyncio.to_thread(received))
