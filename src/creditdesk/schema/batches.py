"""Reads records in batches, and asynchronous sources one item ahead of their consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TypeVar

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Filter
from creditdesk.schema.repository import ReadSession

T = TypeVar("T")


async def find_batches(
    session: ReadSession,
    entity: type[Entity],
    size: int,
    columns: Sequence[str] = (),
    filters: Sequence[Filter] = (),
) -> AsyncGenerator[list[Record]]:
    """Yields the records of an entity that match the filters, in order of Id, `size` at a time.

    Only the given columns are read, `Id` must be one of them; by default all but the collections.
    """
    last = 0
    while records := await session.find(entity, filters, limit=size, after_id=last, columns=columns):
        yield records
        # Without a snapshot, a further query might never end while others write.
        if len(records) < size:
            return
        last = records[-1]["Id"]


async def has_records(session: ReadSession, entities: Iterable[type[Entity]]) -> bool:
    """Whether any of the entities has a record."""
    for entity in entities:
        if await session.count(entity):
            return True
    return False


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
