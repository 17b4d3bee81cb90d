"""Units of work on PostgreSQL: a small pool, prepared statements, rows in bulk as arrays or COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Blocked, Conflict
from creditdesk.schema.repository import Insert, Question, Reading, Unit, Update
from creditdesk.storage.bulk_load import set_aside
from creditdesk.storage.dialects import PostgreSQL
from creditdesk.storage.fragments import Reads
from creditdesk.storage.naming import table_name
from creditdesk.storage.pool import Connections
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_encoding import Filled, inserted, updated
from creditdesk.storage.session import RecordReading, RecordUnit, ids_of

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

    async def find_all(self, questions: Sequence[Question]) -> list[list[Record]]:
        if len(questions) == 1:
            return await super().find_all(questions)
        texts: list[str] = []
        values: list[Any] = []
        asked: list[tuple[tuple[str, ...], Reads]] = []
        for each in questions:
            names = tuple(each.names or (c.name for c in each.entity.shape().listed))
            text, given, reads = self.statements.found_rows(
                each.entity, each.filters, names, len(values)
            )
            texts.append(f"ARRAY({text})")
            values += given
            asked.append((names, reads))
        [answers] = await self.fetch(f"SELECT {', '.join(texts)}", values)
        return [
            [dict(zip(names, reads.row(row), strict=True)) for row in rows]
            for (names, reads), rows in zip(asked, answers, strict=True)
        ]


class PostgreSQLUnit(PostgreSQLReading, RecordUnit):
    """Writing inside one transaction. `held` are the ids, by table, of rows that it has locked: who
    changes one of them sees what it copied of that row.
    """

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements, connection)
        self.held: dict[str, set[int]] = {}

    async def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        names: Sequence[str] = (),
        *,
        if_free: Sequence[int] = (),
    ) -> dict[int, Record]:
        found = await super().lock(entity, ids, names, if_free=if_free)
        self.held.setdefault(table_name(entity), set()).update(found)
        return found

    async def run_many(self, table: str, filled: Filled) -> None:
        if len(filled.values[0]) >= COPY_FROM_ROWS and not filled.copied:
            await self.connection.copy_records_to_table(
                table,
                records=list(zip(*filled.values, strict=True)),
                columns=[column.name for column in filled.columns],
            )
            return
        await self._share([filled])
        await self.connection.execute(self._insertion(table, filled, 1), *filled.values)

    async def update_many(self, table: str, filled: Filled) -> None:
        await self.connection.execute(_change(table, filled, 1), *filled.values)

    async def write(
        self, writes: Sequence[Insert | Update], showing: type[Entity] | None = None
    ) -> dict[int, Record]:
        parts: list[str] = []
        values: list[list[Any]] = []
        shown, reads = "SELECT 1", None
        copying: list[Filled] = []
        for number, each in enumerate(writes):
            table, first = table_name(each.entity), len(values) + 1
            if isinstance(each, Update):
                filled = updated(self.statements, each.entity, each.changes)
                text = _change(table, filled, first)
            else:
                ids = ids_of(each)
                filled = inserted(self.statements, each.entity, ids, each.records)
                copying.append(filled)
                text = self._insertion(table, filled, first, fresh=ids is None)
                if each.entity is showing:
                    text += " RETURNING *"
                    shown, reads = self.statements.whole(each.entity, f"w{number}")
            parts.append(f"w{number} AS ({text})")
            values += filled.values
        await self._share(copying)
        rows = await self.fetch(f"WITH {', '.join(parts)} {shown}", values)
        if showing is None or reads is None:
            return {}
        names = tuple(showing.shape().columns)
        found = [dict(zip(names, reads.row(row), strict=True)) for row in rows]
        return {record["Id"]: record for record in found}

    async def _share(self, copying: Sequence[Filled]) -> None:
        """Locks what these rows copy, in a statement before the one that reads it.

        One that waits for a lock goes on with the values that it saw before it waited.
        """
        sources: dict[str, set[int]] = {}
        for filled in copying:
            names = [column.name for column in filled.columns]
            for each in filled.copied:
                ids = set(filled.values[names.index(each.link)]) - {None}
                sources.setdefault(each.source, set()).update(ids)
        texts: list[str] = []
        values: list[list[int]] = []
        for source in sorted(sources):
            if ids := sources[source] - self.held.setdefault(source, set()):
                self.held[source] |= ids
                values.append(sorted(ids))
                texts.append(
                    f"(SELECT count(*) FROM (SELECT 1 FROM {source} WHERE "
                    f"{self.dialect.within('id', f'${len(values)}')} "
                    f"ORDER BY id FOR KEY SHARE) AS {source}_shared)"
                )
        if texts:
            await self.fetch(f"SELECT {', '.join(texts)}", values)

    def _insertion(self, table: str, filled: Filled, first: int, *, fresh: bool = False) -> str:
        """Adds rows that come as arrays, whose placeholders begin at `first`, with their copies;
        `fresh` ones get their ids here.
        """
        key, given = ("id, ", f"nextval('{table}_ids'), ") if fresh else ("", "")
        own = ", ".join(column.name for column in filled.columns)
        arrays = _arrays(filled, first)
        if not filled.copied:
            return f"INSERT INTO {table} ({key}{own}) SELECT {given}u.* FROM unnest({arrays}) AS u"
        names, values, joins = own, "v.*", ""
        for number, each in enumerate(filled.copied):
            names += ", " + ", ".join(each.columns)
            values += ", " + ", ".join(f"s{number}.{origin}" for origin in each.origins)
            joins += f" LEFT JOIN {each.source} AS s{number} ON s{number}.id = v.{each.link}"
        return (
            f"INSERT INTO {table} ({key}{names}) SELECT {given}{values} FROM "
            f"unnest({arrays}) AS v ({own}){joins}"
        )

    async def delete_where(self, table: str, column: str, ids: Sequence[int]) -> None:
        await self.connection.execute(
            f"DELETE FROM {table} WHERE {self.dialect.within(column, '$1')}", list(ids)
        )

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        texts = [
            f"ARRAY(SELECT nextval('{table_name(entity)}_ids') "
            f"FROM generate_series(1, ${number}::int))"
            for number, entity in enumerate(counts, 1)
        ]
        [row] = await self.fetch(f"SELECT {', '.join(texts)}", list(counts.values()))
        return {entity: sorted(ids) for entity, ids in zip(counts, row, strict=True)}

    async def taken_ids(self, entity: type[Entity], highest: int) -> None:
        name = f"{table_name(entity)}_ids"
        await self.connection.execute(
            f"SELECT setval('{name}', $1) FROM {name} WHERE last_value < $1 OR NOT is_called",
            highest,
        )


class PostgreSQLLoad(PostgreSQLUnit):
    """Writing inside one transaction that has the tables to itself."""

    async def _share(self, copying: Sequence[Filled]) -> None:
        """Nothing, as nobody can change a row while it is copied."""


class PostgreSQLStore:
    """Where units of work come from when the records are in PostgreSQL."""

    def __init__(self, pool: Connections) -> None:
        self.pool = pool
        self.statements = Statements(PostgreSQL())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        async with self.pool.acquire() as connection:
            yield PostgreSQLReading(self.statements, connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Unit]:
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                yield PostgreSQLUnit(self.statements, connection)
        except asyncpg.PostgresError as fault:
            raise translated(fault) from fault

    @asynccontextmanager
    async def loading(self, entities: Sequence[type[Entity]]) -> AsyncIterator[Unit]:
        async with self.writing() as unit:
            assert isinstance(unit, PostgreSQLUnit)
            load = PostgreSQLLoad(self.statements, unit.connection)
            async with set_aside(load.fetch, load.dialect, entities):
                yield load

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


def _change(table: str, filled: Filled, first: int) -> str:
    """Sets what comes as arrays, the ids first, whose placeholders begin at `first`."""
    names = [column.name for column in filled.columns]
    sets = ", ".join(f"{name} = v.{name}" for name in names[1:])
    return (
        f"UPDATE {table} AS t SET {sets} FROM unnest({_arrays(filled, first)}) "
        f"AS v ({', '.join(names)}) WHERE t.id = v.id"
    )


def _arrays(filled: Filled, first: int) -> str:
    return ", ".join(f"${i}::{column.kind}[]" for i, column in enumerate(filled.columns, first))


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
    return PostgreSQLStore(Connections(pool, connections))
