"""Reads an asynchronous source one item ahead of its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def prefetch(source: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yields the items of `source`, fetching the next one while the consumer handles this one.

    An error of `source` is raised after the items before it. Closing this generator cancels the
    pending fetch and closes `source`, so consumers wrap it in `aclosing`.
    """
    pending = asyncio.create_task(_fetch(source))
    try:
        while item := await pending:
            pending = asyncio.create_task(_fetch(source))
            yield item[0]
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await source.aclose()


async def _fetch(source: AsyncGenerator[T]) -> tuple[T] | None:
    async for item in source:
        return (item,)
    return None
