"""Generates batches in another process while this one stores them.

Generating and storing the demo take about the same time, so together they take half of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
BatchSource = Callable[..., Iterator[T]]


async def generate_in_process(source: BatchSource[T], *arguments: object) -> AsyncGenerator[T]:
    """Yields what `source(*arguments)` yields in another process.

    `source` must be a module-level function. Raises ChildProcessError when the process ends early.
    """
    context = get_context("spawn")  # A fork would share this process's connections and threads.
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_batches, args=(source, arguments, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while batch := await asyncio.to_thread(_receive, receiver):
            yield batch
    finally:
        # Terminated first, which releases a thread that waits for the next batch.
        process.terminate()
        await asyncio.to_thread(process.join)
        receiver.close()


def _send_batches(source: BatchSource[T], arguments: tuple[object, ...], sender: Connection) -> None:
    with suppress(BrokenPipeError):
        for batch in source(*arguments):
            sender.send(batch)
        sender.send(None)


def _receive(receiver: Connection) -> Any:
    """Waits for the next batch; None after the last one."""
    try:
        return receiver.recv()
    except EOFError:
        raise ChildProcessError("the process that generates the demo ended early") from None
