"""Sessions on PostgreSQL: pooled connections, prepared statements, bulk rows as arrays or COPY."""

from __future__ import annotations

from asyncio import CancelledError, Task, create_task, timeout
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from time import monotonic
from typing import Any, Final, Literal, TypeVar

import asyncpg

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, StateConflict, Unavailable
from creditdesk.schema.repository import FindQuery, Insert, ReadSession, Update, WriteSession
from creditdesk.storage.bulk_load import suspend
from creditdesk.storage.connector import HostConnector
from creditdesk.storage.detached_connections import DetachedConnections
from creditdesk.storage.dialects import PostgreSQL
from creditdesk.storage.fragments import (
    NO_COLUMNS,
    Fragment,
    Parameter,
    RowDecoder,
    Statement,
)
from creditdesk.storage.long_reads import LongReads
from creditdesk.storage.naming import table_name
from creditdesk.storage.pool import CANCEL_SECONDS, ConnectionPool, StatementCancelled
from creditdesk.storage.queries import Statements
from creditdesk.storage.role_settings import CONNECTION_SETTINGS
from creditdesk.storage.row_encoding import EncodedRows, encode_inserts, encode_updates
from creditdesk.storage.row_statements import insert_many, update_many
from creditdesk.storage.session import (
    LOST_RACE,
    NO_ROOM,
    NO_ROOM_SECONDS,
    REFERENCED,
    BaseReadSession,
    BaseWriteSession,
    given_ids,
)
from creditdesk.storage.silence_watch import watch_for_silence

COPY_MIN_ROWS: Final = 500
"""From this many rows on, COPY is faster than arrays."""

SHORT_READ_SECONDS: Final = 0.1
"""A single read that takes longer is cancelled, and starts again as a long one."""

T = TypeVar("T")
_Kind = Literal["insert", "insert with new ids", "update"]


class _ReadStatements(BaseReadSession):
    """The common base of reads in a snapshot and single reads."""

    async def is_writable(self) -> bool:
        # Both a replica and an operator's setting make transactions read-only.
        [(read_only,)] = await self.fetch("SELECT current_setting('transaction_read_only')", ())
        return bool(read_only == "off")

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        if len(queries) == 1:
            return await super().find_many(queries)
        texts: list[str] = []
        values: list[Any] = []
        decoders: list[RowDecoder] = []
        for each in queries:
            statement = self.statements.find_as_rows(each.entity, each.filters, tuple(each.columns), len(values) + 1)
            texts.append(f"ARRAY({statement.text})")
            values += statement.values
            decoders.append(statement.decoder)
        [arrays] = await self.fetch(f"SELECT {', '.join(texts)}", values)
        return [decoder.decode_records(rows) for decoder, rows in zip(decoders, arrays, strict=True)]


class PostgreSQLReadSession(_ReadStatements):
    """Reads over one connection, which a snapshot keeps in a transaction."""

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements)
        self.connection = connection

    async def fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = await self.connection.fetch(text, *parameters)
        return rows


class PostgreSQLSingleReads(_ReadStatements):
    """Executes each read over any connection of the pool; long ones use at most half of the connections."""

    def __init__(self, statements: Statements, pool: ConnectionPool, statement_seconds: float | None) -> None:
        super().__init__(statements)
        self._pool = pool
        self._long = LongReads(max(1, pool.max_size // 2), SHORT_READ_SECONDS, statement_seconds)

    async def fetch(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]]
        if text not in self._long.statements:
            with suppress(StatementCancelled):
                async with self._pool.acquire() as connection:
                    try:
                        rows = await connection.fetch(text, *parameters, timeout=SHORT_READ_SECONDS)
                    except TimeoutError as error:
                        raise StatementCancelled from error
                    return rows
        async with self._long.slot(text), self._pool.acquire() as connection:
            started = monotonic()
            rows = await connection.fetch(text, *parameters)
        self._long.statements.record(text, monotonic() - started)
        return rows


class PostgreSQLWriteSession(PostgreSQLReadSession, BaseWriteSession):
    """Writes inside one transaction.

    `locked_ids` are the ids, by table, of rows that it has locked: a later change of such a row sees what
    this transaction copied from it.
    """

    def __init__(self, statements: Statements, connection: Any) -> None:
        super().__init__(statements, connection)
        self.locked_ids: dict[str, set[int]] = {}

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[WriteSession]:
        try:
            async with self.connection.transaction():
                yield self
        except Exception as error:
            # The rollback has released the locks.
            self.locked_ids.clear()
            if isinstance(error, asyncpg.PostgresError):
                raise translate_error(error) from error
            raise

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

    async def insert_rows(self, rows: EncodedRows) -> None:
        if len(rows.values[0]) >= COPY_MIN_ROWS and not rows.denormalized:
            await self.connection.copy_records_to_table(
                rows.table,
                records=list(zip(*rows.values, strict=True)),
                columns=[column.name for column in rows.columns],
            )
            return
        await self._lock_sources([rows])
        await self._execute("insert", rows, insert_many)

    async def update_rows(self, rows: EncodedRows) -> None:
        await self._execute("update", rows, update_many)

    async def _execute(self, kind: str, rows: EncodedRows, compose: Callable[[EncodedRows], Fragment]) -> None:
        statement = self.statements.statement(
            (kind, rows.shape, rows.is_single), lambda: compose(rows).numbered(self.dialect)
        )
        await self.connection.execute(statement.text, *statement.bind((rows,)).values)

    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        encoded: list[tuple[_Kind, EncodedRows]] = []
        for each in writes:
            if isinstance(each, Update):
                self.note_changes(each.entity, [change for _, change in each.changes])
                rows = encode_updates(self.statements, each.entity, each.changes)
                encoded.append(("update", rows))
                continue
            ids = given_ids(each)
            rows = encode_inserts(self.statements, each.entity, ids, each.records)
            encoded.append(("insert" if ids else "insert with new ids", rows))
        key = ("write", tuple((kind, rows.shape, rows.is_single) for kind, rows in encoded), returning)
        statement = self.statements.statement(key, lambda: self._write_all(encoded, returning))
        await self._lock_sources([rows for kind, rows in encoded if kind != "update"])
        bound = statement.bind([rows for _, rows in encoded])
        if returning is None:
            await self.fetch(bound.text, bound.values)
            return {}
        return {record["Id"]: record for record in await self._records(bound)}

    def _write_all(self, encoded: Sequence[tuple[_Kind, EncodedRows]], returning: type[Entity] | None) -> Statement:
        """One statement for writes on different tables; it selects what is inserted of one."""
        select = Statement("SELECT 1", (), NO_COLUMNS)
        ctes: list[Fragment] = []
        for number, (kind, rows) in enumerate(encoded):
            if kind == "update":
                cte = update_many(rows, number)
            else:
                cte = insert_many(rows, number, new_ids=kind == "insert with new ids")
                if returning and rows.table == table_name(returning):
                    cte += Fragment(" RETURNING *")
                    select = self.statements.select_records(returning, f"w{number}")
            ctes.append(Fragment(f"w{number} AS (") + cte + Fragment(")"))
        fragment = Fragment("WITH ") + Fragment.join(", ", ctes) + Fragment(f" {select.text}")
        return fragment.numbered(self.dialect, select.decoder)

    async def _lock_sources(self, inserts: Sequence[EncodedRows]) -> None:
        """Locks the rows that these rows copy from, in a statement before the one that reads them.

        A statement that waits for a lock continues with the values that it saw before it waited.
        """
        sources: dict[str, set[int]] = {}
        for rows in inserts:
            names = [column.name for column in rows.columns]
            for each in rows.denormalized:
                ids = set(rows.values[names.index(each.reference_column)]) - {None}
                sources.setdefault(each.source_table, set()).update(ids)
        unlocked: dict[str, list[int]] = {}
        for table in sorted(sources):
            locked = self.locked_ids.setdefault(table, set())
            if ids := sources[table] - locked:
                locked |= ids
                unlocked[table] = sorted(ids)
        if unlocked:
            key = ("lock sources", tuple(unlocked))
            statement = self.statements.statement(key, lambda: self._share_locks(tuple(unlocked)))
            bound = statement.bind([*unlocked.values()])
            await self.fetch(bound.text, bound.values)

    def _share_locks(self, tables: Sequence[str]) -> Statement:
        """Locks rows of several tables, in the order of the tables and of ids."""
        locks: list[Fragment] = []
        for position, table in enumerate(tables):
            ids = Parameter(table, position)
            rows = f"SELECT 1 FROM {table} WHERE {self.dialect.in_array('id', str(ids))}"
            text = f"(SELECT count(*) FROM ({rows} ORDER BY id FOR KEY SHARE) AS {table}_shared)"
            locks.append(Fragment(text, (ids,)))
        return (Fragment("SELECT ") + Fragment.join(", ", locks)).numbered(self.dialect)

    async def delete_rows(self, table: str, column: str, ids: Sequence[int]) -> None:
        await self.connection.execute(f"DELETE FROM {table} WHERE {self.dialect.in_array(column, '$1')}", list(ids))

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        tables = tuple(table_name(entity) for entity in counts)
        statement = self.statements.statement(("next ids", tables), lambda: self._next_ids(tables))
        bound = statement.bind([*counts.values()])
        [row] = await self.fetch(bound.text, bound.values)
        return {entity: sorted(ids) for entity, ids in zip(counts, row, strict=True)}

    def _next_ids(self, tables: Sequence[str]) -> Statement:
        arrays = [
            Fragment(
                f"ARRAY(SELECT nextval('{table}_ids') FROM generate_series(1, :{table}::int))",
                (Parameter(table, position),),
            )
            for position, table in enumerate(tables)
        ]
        return (Fragment("SELECT ") + Fragment.join(", ", arrays)).numbered(self.dialect)

    async def advance_ids(self, entity: type[Entity], highest: int) -> None:
        name = f"{table_name(entity)}_ids"
        await self.connection.execute(
            f"SELECT setval('{name}', $1) FROM {name} WHERE last_value < $1 OR NOT is_called",
            highest,
        )


class PostgreSQLBulkLoadSession(PostgreSQLWriteSession):
    """Writes inside one transaction that has the tables to itself."""

    async def _lock_sources(self, inserts: Sequence[EncodedRows]) -> None:
        """Does nothing, as no other transaction can change the sources."""


class PostgreSQLStore:
    """Sessions over a connection pool; `url` is where detached reads connect."""

    def __init__(self, pool: ConnectionPool, statement_seconds: float | None, url: str, watch: Task[None]) -> None:
        self.pool = pool
        self.watch = watch
        self._detached = DetachedConnections(url)
        self.statements = Statements(PostgreSQL())
        self._single_reads = PostgreSQLSingleReads(self.statements, pool, statement_seconds)

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[BaseReadSession]:
        return self._snapshot() if snapshot else nullcontext(self._single_reads)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[PostgreSQLReadSession]:
        async with self.pool.acquire() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            try:
                yield PostgreSQLReadSession(self.statements, connection)
            except (TimeoutError, CancelledError):
                await _roll_back_cancelled(connection, transaction)
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    async def read_detached(self, work: Callable[[ReadSession], Awaitable[T]]) -> T:
        return await self._detached.read(lambda connection: work(PostgreSQLReadSession(self.statements, connection)))

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[PostgreSQLWriteSession]:
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                session = PostgreSQLWriteSession(self.statements, connection)
                try:
                    yield session
                    await session.raise_cache_revision()
                except (TimeoutError, CancelledError):
                    # A rollback would wait for the same silent server.
                    connection.terminate()
                    raise
        except asyncpg.PostgresError as error:
            raise translate_error(error) from error
        await session.finish_commit()

    @asynccontextmanager
    async def bulk_load(self, entities: Sequence[type[Entity]]) -> AsyncIterator[WriteSession]:
        async with self.write_session() as session:
            load = PostgreSQLBulkLoadSession(self.statements, session.connection)
            async with suspend(load.fetch, load.dialect, entities):
                yield load
            session.changes_cached_fields = load.changes_cached_fields
            session.commit_actions = load.commit_actions

    async def close(self) -> None:
        try:
            await self._detached.close()
            await self.pool.close()
        finally:
            # Until then it ends what waits for a silent host.
            self.watch.cancel()


async def _roll_back_cancelled(connection: Any, transaction: Any) -> None:
    """Rolls back a transaction after its statement was cancelled; closes the connection of a silent server."""
    try:
        async with timeout(CANCEL_SECONDS):
            await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()


def translate_error(error: asyncpg.PostgresError) -> Exception:
    """The DomainError that a driver's error means, or the error itself."""
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return StateConflict(REFERENCED)
    if isinstance(
        error,
        asyncpg.IntegrityConstraintViolationError
        | asyncpg.SerializationError
        | asyncpg.DeadlockDetectedError
        | asyncpg.LockNotAvailableError,
    ):
        return Conflict(LOST_RACE)
    if isinstance(error, asyncpg.DiskFullError):
        return Unavailable(NO_ROOM, NO_ROOM_SECONDS)
    return error


async def _end_implicit_transaction(connection: Any) -> None:
    """Ends what a statement that was prepared and never executed leaves open on the server.

    The driver prepares without a Sync message. Where the time of a statement ends before it is executed, or an argument
    cannot be encoded, the server goes on in a transaction that the driver does not know of.
    """
    await connection.execute("SELECT 1")


async def connect(
    url: str, pool_size: int, statement_seconds: float | None = None, *, min_connections: int = 1
) -> PostgreSQLStore:
    """A store over a pool of at most `pool_size` connections, of which `min_connections` are opened now.

    A statement, and the wait for a connection, end after `statement_seconds`, if given.
    """
    connector = HostConnector(url)
    connect_to_host: Any = connector
    pool = await asyncpg.create_pool(
        url,
        connect=connect_to_host,
        command_timeout=statement_seconds,
        min_size=min_connections,
        max_size=pool_size,
        statement_cache_size=1024,
        # Called for the connections that the pool in front gives back: after errors, and at the end.
        reset=_end_implicit_transaction,
        server_settings=CONNECTION_SETTINGS,
    )
    connections = ConnectionPool(pool, pool_size, statement_seconds)
    watch = create_task(watch_for_silence(connections, connector.answers))
    return PostgreSQLStore(connections, statement_seconds, url, watch)
