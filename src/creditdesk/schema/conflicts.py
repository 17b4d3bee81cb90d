"""Retries a transaction once after a conflict with another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from creditdesk.schema.errors import Conflict

T = TypeVar("T")


async def retry_conflict(transact: Callable[[], Awaitable[T]], count: Callable[[], None]) -> T:
    """The result of a transaction. After a Conflict, which changed nothing, runs it a second time.

    Calls `count` before the second attempt. Raises the Conflict of the second attempt.
    """
    try:
        return await transact()
    except Conflict:
        count()
        return await transact()
