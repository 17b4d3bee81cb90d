"""Applies changes of the schema: all in one transaction, or each in its own while servers run."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import ClassVar, Final, Protocol

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations import state
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import Change, StepKind

BACKFILL_BATCH_SECONDS: Final = 0.1
"""How long a batch may take, in seconds; the next batch is sized by the duration of the last."""

FIRST_BATCH_ROWS: Final = 500
MAX_BATCH_ROWS: Final = 20_000

LOCK_ATTEMPTS: Final = 600
"""How often a change that gets no lock is tried, with pauses of up to MAX_PAUSE_SECONDS."""

MAX_PAUSE_SECONDS: Final = 1.0


class LocksUnavailable(Exception):
    """A change got no lock in time, because a long transaction holds it."""


class SchemaConnection(Protocol):
    """A connection for changes of the schema."""

    dialect: Dialect

    def transaction(self) -> AbstractAsyncContextManager[Execute]:
        """A transaction whose statements wait a fifth of a second for a lock; raises LocksUnavailable."""

    async def execute_alone(self, text: str) -> None:
        """Executes a statement outside of a transaction."""


class SchemaTarget(ABC):
    """A database whose schema is changed.

    `has_servers` says whether servers may run in the meantime.
    """

    dialect: Dialect
    has_servers: ClassVar[bool]

    @abstractmethod
    def announce(self, title: str, kind: StepKind) -> None:
        """Announces the changes that follow."""

    @abstractmethod
    async def change(self, apply: Change) -> None:
        """Makes one change."""

    @abstractmethod
    async def build_index(self, name: str, statement: str) -> None:
        """Builds an index of a table with rows, unless it exists."""

    @abstractmethod
    async def backfill(self, backfill: Backfill) -> None:
        """Fills rows in batches, from where an interrupted run ended."""

    async def catch_up(self, backfill: Backfill) -> None:
        """Fills the rows that older programs wrote after the backfill."""

        async def fill(execute: Execute, _dialect: Dialect) -> None:
            await _execute_all(execute, (*backfill.before, *backfill.statements(), *backfill.after))

        await self.change(fill)


class OneTransaction(SchemaTarget):
    """Everything in the caller's transaction: for a database without servers."""

    has_servers = False

    def __init__(self, execute: Execute, dialect: Dialect) -> None:
        self.execute = execute
        self.dialect = dialect

    def announce(self, title: str, kind: StepKind) -> None:
        """Announces nothing: the changes take no time."""

    async def change(self, apply: Change) -> None:
        await apply(self.execute, self.dialect)

    async def build_index(self, name: str, statement: str) -> None:  # noqa: ARG002 - the statement asks
        await self.execute(statement, ())

    async def backfill(self, backfill: Backfill) -> None:
        await self.catch_up(backfill)


class OnlineTarget(SchemaTarget):
    """Each change in a transaction of its own, so that no writer waits for long."""

    has_servers = True

    def __init__(self, connection: SchemaConnection, announce: Callable[[str], None]) -> None:
        self.dialect = connection.dialect
        self._connection = connection
        self._announce = announce

    def announce(self, title: str, kind: StepKind) -> None:
        self._announce(f"{title} ({kind})")

    async def change(self, apply: Change) -> None:
        pause = BACKFILL_BATCH_SECONDS
        for _ in range(LOCK_ATTEMPTS - 1):
            try:
                await self._change(apply)
            except LocksUnavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            else:
                return
        await self._change(apply)

    async def _change(self, apply: Change) -> None:
        async with self._connection.transaction() as execute:
            await apply(execute, self.dialect)

    async def build_index(self, name: str, statement: str) -> None:
        if self.dialect.name == "sqlite":

            async def build(execute: Execute, _dialect: Dialect) -> None:
                await execute(statement, ())

            await self.change(build)
            return
        if await self._has_invalid_index(name):
            # A build that was killed, or that found duplicate keys, leaves an invalid index.
            await self._connection.execute_alone(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        await self._connection.execute_alone(statement.replace("INDEX ", "INDEX CONCURRENTLY ", 1))

    async def _has_invalid_index(self, name: str) -> bool:
        async with self._connection.transaction() as execute:
            rows = await execute(
                "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1::text) AND NOT indisvalid", (name,)
            )
        return bool(rows)

    async def backfill(self, backfill: Backfill) -> None:
        position = await self._begin_backfill(backfill)
        size = FIRST_BATCH_ROWS
        while position is not None:
            started = monotonic()
            try:
                position = await self._fill_batch(backfill, position, size)
            except LocksUnavailable:
                size = max(size // 2, 1)
            seconds = monotonic() - started
            size = max(1, min(2 * size, round(size * BACKFILL_BATCH_SECONDS / max(seconds, 0.001)), MAX_BATCH_ROWS))
            # Leaves as much time to other writers, of which SQLite takes one at a time.
            await asyncio.sleep(min(seconds, MAX_PAUSE_SECONDS) if self.dialect.name == "sqlite" else 0)

    async def _begin_backfill(self, backfill: Backfill) -> int | None:
        """The Id after which to go on; None when all is filled."""
        position: str | None = None

        async def begin(execute: Execute, dialect: Dialect) -> None:
            nonlocal position
            position = (await state.read(execute)).get(state.position_of(backfill))
            if position is None:
                await _execute_all(execute, backfill.before)
                await state.write(execute, dialect, state.position_of(backfill), "0")

        await self.change(begin)
        if position == state.ALL_FILLED:
            return None
        return int(position or 0)

    async def _fill_batch(self, backfill: Backfill, after_id: int, size: int) -> int | None:
        """Fills the rows after an Id; returns the last Id, None after the last batch."""
        table = backfill.table
        async with self._connection.transaction() as execute:
            [(last,)] = await execute(
                f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > {after_id} ORDER BY id LIMIT {size}) AS batch",
                (),
            )
            if last is None:
                await _execute_all(execute, backfill.after)
                await state.write(execute, self.dialect, state.position_of(backfill), state.ALL_FILLED)
                return None
            await _execute_all(execute, backfill.statements(backfill.id_range(after_id, last)))
            await state.write(execute, self.dialect, state.position_of(backfill), str(last))
            return int(last)


async def _execute_all(execute: Execute, statements: tuple[str, ...]) -> None:
    for statement in statements:
        await execute(statement, ())
