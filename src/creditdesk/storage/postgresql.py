"""Units of work on PostgreSQL: a small pool, prepared statements, rows in bulk as arrays or COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from creditdesk.schema.entity import Entity
from creditdesk.schema.refusals import Blocked, Conflict
from creditdesk.schema.store import Reading, Unit
from creditdesk.storage.dialects import PostgreSQL
from creditdesk.storage.naming import table_name
from creditdesk.storage.statements import Statements
from creditdesk.storage.unit import RecordReading, RecordUnit, TableValue

COPY_FROM_ROWS: Final = 500
"""From this many rows on, COPY is faster than arrays."""


class PostgreSQLReading(RecordReading):
    """Reading over one connection; each question is one statement, so one look."""

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements)
        self.connection = connection

    async def fetch(self, text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = await self.connection.fetch(text, *values)
        return rows


class PostgreSQLUnit(PostgreSQLReading, RecordUnit):
    """Writing inside one transaction."""

    async def run_many(self, table: str, columns: Sequence[TableValue], rows: list[Any]) -> None:
        if len(rows) >= COPY_FROM_ROWS:
            await self.connection.copy_records_to_table(
                table, records=rows, columns=[c.name for c in columns]
            )
            return
        names = ", ".join(c.name for c in columns)
        arrays = ", ".join(f"${i}::{c.kind}[]" for i, c in enumerate(columns, 1))
        await self.connection.execute(
            f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})",
            *_by_column(rows, len(columns)),
        )

    async def update_many(self, table: str, columns: Sequence[TableValue], rows: list[Any]) -> None:
        sets = ", ".join(f"{c.name} = v.{c.name}" for c in columns[1:])
        arrays = ", ".join(f"${i}::{c.kind}[]" for i, c in enumerate(columns, 1))
        names = ", ".join(c.name for c in columns)
        await self.connection.execute(
            f"UPDATE {table} AS t SET {sets} FROM unnest({arrays}) AS v ({names}) "
            "WHERE t.id = v.id",
            *_by_column(rows, len(columns)),
        )

    async def delete_where(self, table: str, column: str, ids: Sequence[int]) -> None:
        await self.connection.execute(
            f"DELETE FROM {table} WHERE {self.dialect.within(column, '$1')}", list(ids)
        )

    async def next_ids(self, entity: type[Entity], count: int) -> list[int]:
        rows = await self.connection.fetch(
            f"SELECT nextval('{table_name(entity)}_ids') FROM generate_series(1, $1::int)", count
        )
        return sorted(row[0] for row in rows)

    async def taken_ids(self, entity: type[Entity], highest: int) -> None:
        name = f"{table_name(entity)}_ids"
        await self.connection.execute(
            f"SELECT setval('{name}', $1) FROM {name} WHERE last_value < $1 OR NOT is_called",
            highest,
        )


class PostgreSQLStore:
    """Where units of work come from when the records are in PostgreSQL."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.statements = Statements(PostgreSQL())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        async with self._connection() as connection:
            yield PostgreSQLReading(self.statements, connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Unit]:
        try:
            async with self._connection() as connection, connection.transaction():
                yield PostgreSQLUnit(self.statements, connection)
        except asyncpg.PostgresError as fault:
            raise translated(fault) from fault

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool; ConnectionError when the server is gone."""
        try:
            connection = await self.pool.acquire()
        except OSError as fault:
            # A socket that is gone, or a time that ran out, says no more than a refusal does.
            raise ConnectionError(f"no connection to the database: {fault}") from fault
        try:
            yield connection
        except asyncpg.InternalClientError as fault:
            # The server left between two statements, and the driver has lost its place.
            connection.terminate()
            raise ConnectionError(f"the database went away: {fault}") from fault
        finally:
            await self.pool.release(connection)

    async def close(self) -> None:
        await self.pool.close()


def translated(fault: asyncpg.PostgresError) -> Exception:
    """The refusal an engine's error stands for, or the error itself."""
    if isinstance(fault, asyncpg.ForeignKeyViolationError):
        return Blocked("This record cannot be changed so: other records refer to it.")
    if isinstance(
        fault,
        asyncpg.IntegrityConstraintViolationError
        | asyncpg.SerializationError
        | asyncpg.DeadlockDetectedError
        | asyncpg.LockNotAvailableError,
    ):
        return Conflict("Another change came first; nothing was done. Please try again.")
    return fault


def _by_column(rows: list[Any], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * width


async def _as_it_is(_connection: Any) -> None:
    """Leaves a connection as it is."""


async def connect(url: str, connections: int) -> PostgreSQLStore:
    """A store over a pool of so many connections."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections,
        statement_cache_size=1024,
        # Units leave nothing behind in a session, so giving one back costs no round trip.
        reset=_as_it_is,
        server_settings={
            "jit": "off",
            # Planning a dozen joins takes longer than running them.
            "plan_cache_mode": "force_generic_plan",
            "application_name": "creditdesk",
        },
    )
    return PostgreSQLStore(pool)
