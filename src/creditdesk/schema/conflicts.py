"""Runs a transaction once more when another one came first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from creditdesk.schema.errors import Conflict

T = TypeVar("T")


async def retry_conflict(transact: Callable[[], Awaitable[T]], count: Callable[[], None]) -> T:
    """The result of a transaction; after a Conflict, which changed nothing, that of a second one.

    `count` is called before the second one. Raises its Conflict.
    """
    try:
        return await transact()
    except Conflict:
        count()
        return await transact()
