"""Runs a coroutine to its end on the calling thread, with an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


def run_alone(work: Awaitable[T]) -> T:
    """The result of `work`. Must not be called where an event loop runs."""

    async def finish() -> T:
        return await work

    with asyncio.Runner() as runner:
        return runner.run(finish())
