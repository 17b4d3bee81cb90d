"""Units of work on PostgreSQL: a small pool, prepared statements, rows in bulk as arrays or COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, StateConflict
from creditdesk.schema.repository import FindQuery, Insert, ReadSession, Update, WriteSession
from creditdesk.storage.bulk_load import suspend
from creditdesk.storage.dialects import PostgreSQL
from creditdesk.storage.fragments import RowDecoder
from creditdesk.storage.naming import table_name
from creditdesk.storage.pool import ConnectionPool
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_encoding import EncodedRows, encode_inserts, encode_updates
from creditdesk.storage.session import BaseReadSession, BaseWriteSession, given_ids

COPY_MIN_ROWS: Final = 500
"""From this many rows on, COPY is faster than arrays."""


class PostgreSQLReadSession(BaseReadSession):
    """Reading over one connection; each question is one statement, so one look."""

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements)
        self.connection = connection

    async def fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = await self.connection.fetch(text, *parameters)
        return rows

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        if len(queries) == 1:
            return await super().find_many(queries)
        texts: list[str] = []
        values: list[Any] = []
        asked: list[tuple[tuple[str, ...], RowDecoder]] = []
        for each in queries:
            names = tuple(each.columns or (c.name for c in each.entity.meta().list_columns))
            text, given, reads = self.statements.find_as_rows(
                each.entity, each.filters, names, len(values)
            )
            texts.append(f"ARRAY({text})")
            values += given
            asked.append((names, reads))
        [answers] = await self.fetch(f"SELECT {', '.join(texts)}", values)
        return [
            [dict(zip(names, reads.decode_row(row), strict=True)) for row in rows]
            for (names, reads), rows in zip(asked, answers, strict=True)
        ]


class PostgreSQLWriteSession(PostgreSQLReadSession, BaseWriteSession):
    """Writing inside one transaction. `held` are the ids, by table, of rows that it has locked: who
    changes one of them sees what it copied of that row.
    """

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements, connection)
        self.locked_ids: dict[str, set[int]] = {}

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        columns: Sequence[str] = (),
        *,
        skip_locked: Sequence[int] = (),
    ) -> dict[int, Record]:
        found = await super().lock(entity, ids, columns, skip_locked=skip_locked)
        self.locked_ids.setdefault(table_name(entity), set()).update(found)
        return found

    async def insert_rows(self, table: str, rows: EncodedRows) -> None:
        if len(rows.values[0]) >= COPY_MIN_ROWS and not rows.denormalized:
            await self.connection.copy_records_to_table(
                table,
                records=list(zip(*rows.values, strict=True)),
                columns=[column.name for column in rows.columns],
            )
            return
        await self._lock_sources([rows])
        await self.connection.execute(self._insert_statement(table, rows, 1), *rows.values)

    async def update_rows(self, table: str, rows: EncodedRows) -> None:
        await self.connection.execute(_update_statement(table, rows, 1), *rows.values)

    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        parts: list[str] = []
        values: list[list[Any]] = []
        shown, reads = "SELECT 1", None
        copying: list[EncodedRows] = []
        for number, each in enumerate(writes):
            table, first = table_name(each.entity), len(values) + 1
            if isinstance(each, Update):
                filled = encode_updates(self.statements, each.entity, each.changes)
                text = _update_statement(table, filled, first)
            else:
                ids = given_ids(each)
                filled = encode_inserts(self.statements, each.entity, ids, each.records)
                copying.append(filled)
                text = self._insert_statement(table, filled, first, fresh=ids is None)
                if each.entity is returning:
                    text += " RETURNING *"
                    shown, reads = self.statements.select_records(each.entity, f"w{number}")
            parts.append(f"w{number} AS ({text})")
            values += filled.values
        await self._lock_sources(copying)
        rows = await self.fetch(f"WITH {', '.join(parts)} {shown}", values)
        if returning is None or reads is None:
            return {}
        names = tuple(returning.meta().columns)
        found = [dict(zip(names, reads.decode_row(row), strict=True)) for row in rows]
        return {record["Id"]: record for record in found}

    async def _lock_sources(self, inserts: Sequence[EncodedRows]) -> None:
        """Locks what these rows copy, in a statement before the one that reads it.

        One that waits for a lock goes on with the values that it saw before it waited.
        """
        sources: dict[str, set[int]] = {}
        for filled in inserts:
            names = [column.name for column in filled.columns]
            for each in filled.denormalized:
                ids = set(filled.values[names.index(each.reference_column)]) - {None}
                sources.setdefault(each.source_table, set()).update(ids)
        texts: list[str] = []
        values: list[list[int]] = []
        for source in sorted(sources):
            if ids := sources[source] - self.locked_ids.setdefault(source, set()):
                self.locked_ids[source] |= ids
                values.append(sorted(ids))
                texts.append(
                    f"(SELECT count(*) FROM (SELECT 1 FROM {source} WHERE "
                    f"{self.dialect.in_array('id', f'${len(values)}')} "
                    f"ORDER BY id FOR KEY SHARE) AS {source}_shared)"
                )
        if texts:
            await self.fetch(f"SELECT {', '.join(texts)}", values)

    def _insert_statement(
        self, table: str, rows: EncodedRows, first: int, *, fresh: bool = False
    ) -> str:
        """Adds rows that come as arrays, whose placeholders begin at `first`, with their copies;
        `fresh` ones get their ids here.
        """
        key, given = ("id, ", f"nextval('{table}_ids'), ") if fresh else ("", "")
        own = ", ".join(column.name for column in rows.columns)
        arrays = _array_parameters(rows, first)
        if not rows.denormalized:
            return f"INSERT INTO {table} ({key}{own}) SELECT {given}u.* FROM unnest({arrays}) AS u"
        names, values, joins = own, "v.*", ""
        for number, each in enumerate(rows.denormalized):
            names += ", " + ", ".join(each.columns)
            values += ", " + ", ".join(f"s{number}.{origin}" for origin in each.source_columns)
            joins += f" LEFT JOIN {each.source_table} AS s{number} ON s{number}.id = v.{each.reference_column}"
        return (
            f"INSERT INTO {table} ({key}{names}) SELECT {given}{values} FROM "
            f"unnest({arrays}) AS v ({own}){joins}"
        )

    async def delete_rows(self, table: str, column: str, ids: Sequence[int]) -> None:
        await self.connection.execute(
            f"DELETE FROM {table} WHERE {self.dialect.in_array(column, '$1')}", list(ids)
        )

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        texts = [
            f"ARRAY(SELECT nextval('{table_name(entity)}_ids') "
            f"FROM generate_series(1, ${number}::int))"
            for number, entity in enumerate(counts, 1)
        ]
        [row] = await self.fetch(f"SELECT {', '.join(texts)}", list(counts.values()))
        return {entity: sorted(ids) for entity, ids in zip(counts, row, strict=True)}

    async def advance_ids(self, entity: type[Entity], highest: int) -> None:
        name = f"{table_name(entity)}_ids"
        await self.connection.execute(
            f"SELECT setval('{name}', $1) FROM {name} WHERE last_value < $1 OR NOT is_called",
            highest,
        )


class PostgreSQLBulkLoadSession(PostgreSQLWriteSession):
    """Writing inside one transaction that has the tables to itself."""

    async def _lock_sources(self, inserts: Sequence[EncodedRows]) -> None:
        """Nothing, as nobody can change a row while it is copied."""


class PostgreSQLStore:
    """Where units of work come from when the records are in PostgreSQL."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self.statements = Statements(PostgreSQL())

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        async with self.pool.acquire() as connection:
            yield PostgreSQLReadSession(self.statements, connection)

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                yield PostgreSQLWriteSession(self.statements, connection)
        except asyncpg.PostgresError as fault:
            raise translate_error(fault) from fault

    @asynccontextmanager
    async def bulk_load(self, entities: Sequence[type[Entity]]) -> AsyncIterator[WriteSession]:
        async with self.write_session() as unit:
            assert isinstance(unit, PostgreSQLWriteSession)
            load = PostgreSQLBulkLoadSession(self.statements, unit.connection)
            async with suspend(load.fetch, load.dialect, entities):
                yield load

    async def close(self) -> None:
        await self.pool.close()


def translate_error(error: asyncpg.PostgresError) -> Exception:
    """The refusal an engine's error stands for, or the error itself."""
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return StateConflict("This record cannot be changed so: other records refer to it.")
    if isinstance(
        error,
        asyncpg.IntegrityConstraintViolationError
        | asyncpg.SerializationError
        | asyncpg.DeadlockDetectedError
        | asyncpg.LockNotAvailableError,
    ):
        return Conflict("Another change came first; nothing was done. Please try again.")
    return error


def _update_statement(table: str, rows: EncodedRows, first: int) -> str:
    """Sets what comes as arrays, the ids first, whose placeholders begin at `first`."""
    names = [column.name for column in rows.columns]
    sets = ", ".join(f"{name} = v.{name}" for name in names[1:])
    return (
        f"UPDATE {table} AS t SET {sets} FROM unnest({_array_parameters(rows, first)}) "
        f"AS v ({', '.join(names)}) WHERE t.id = v.id"
    )


def _array_parameters(rows: EncodedRows, first: int) -> str:
    return ", ".join(f"${i}::{column.sql_type}[]" for i, column in enumerate(rows.columns, first))


async def _no_reset(_connection: Any) -> None:
    """Leaves a connection as it is."""


async def connect(url: str, pool_size: int) -> PostgreSQLStore:
    """A store over a pool of so many connections."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=pool_size,
        statement_cache_size=1024,
        # Units leave nothing behind in a session, so giving one back costs no round trip.
        reset=_no_reset,
        server_settings={
            "jit": "off",
            # Planning a dozen joins takes longer than running them.
            "plan_cache_mode": "force_generic_plan",
            "application_name": "creditdesk",
        },
    )
    return PostgreSQLStore(ConnectionPool(pool, pool_size))
