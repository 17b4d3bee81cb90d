"""Keeps long reads from delaying short ones.

A read starts as a short one. If it is not done within the engine's budget, it is interrupted and started again as
a long read, of which only a few run at once. So a short read waits at most for the budgets of other reads, however
many long ones there are.
"""

from __future__ import annotations

from asyncio import Semaphore, timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from creditdesk.schema.errors import Unavailable

MAX_REMEMBERED: Final = 1024
"""The number of slow statements at which their memory is cleared."""


class SlowStatements(set[str]):
    """The texts of statements that took longer than `budget` seconds the last time."""

    def __init__(self, budget: float) -> None:
        super().__init__()
        self.budget = budget

    def record(self, text: str, seconds: float) -> None:
        """Records how long a statement took."""
        if seconds <= self.budget:
            self.discard(text)
            return
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self.add(text)


class LongReads:
    """At most `limit` long reads at once; each waits and runs for at most `seconds` in total, if given.

    `statements` are those that start as long reads because they took longer than `budget` the last time.
    """

    def __init__(self, limit: int, budget: float, seconds: float | None) -> None:
        self.statements = SlowStatements(budget)
        self._seconds = seconds
        self._slots = Semaphore(limit)

    @asynccontextmanager
    async def slot(self, text: str) -> AsyncIterator[None]:
        """Runs the block, which executes the statement, as a long read; the caller records its duration.

        Cancels the block at the deadline and raises Unavailable.
        """
        self.statements.record(text, float("inf"))
        try:
            async with timeout(self._seconds), self._slots:
                yield
        except TimeoutError:
            raise Unavailable(
                f"The database did not answer within {self._seconds:g} seconds, and the call was stopped. "
                "If it selects many records, narrow its filters."
            ) from None
