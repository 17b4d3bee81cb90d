"""Sessions on SQLite: short statements on the event loop, long reads on threads.

Write sessions share one connection, each from BEGIN IMMEDIATE to COMMIT. Single reads use it while
no write session is open; snapshots, long reads, and reads beside a write session have connections of
their own. In WAL mode neither waits for the other.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final, TypeVar

from creditdesk.private_files import ensure_private
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Conflict, StateConflict, Unavailable
from creditdesk.schema.repository import Insert, ReadSession, Update, WriteSession
from creditdesk.storage.bulk_load import suspend
from creditdesk.storage.detached import run_alone
from creditdesk.storage.dialects import SQLite
from creditdesk.storage.fragments import Fragment
from creditdesk.storage.naming import table_name
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_encoding import EncodedRows, encode_inserts, encode_updates
from creditdesk.storage.row_statements import insert_row, update_row
from creditdesk.storage.session import (
    LOST_RACE,
    NO_ROOM,
    NO_ROOM_SECONDS,
    REFERENCED,
    BaseReadSession,
    BaseWriteSession,
    given_ids,
)
from creditdesk.storage.sqlite_reads import Connection, Reader
from creditdesk.telemetry.metrics import DATABASE_WAIT_SECONDS

BUSY_SECONDS: Final = 20.0
"""How long a write waits by default for other writes and other programs, in seconds."""

T = TypeVar("T")

BUSY_MESSAGE: Final = "Another program holds the database; nothing was changed. Try again in a moment."
_NO_ROOM: Final = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE)
"""The errors that SQLite reports if the operating system cannot extend a file."""

STOPPED_MESSAGE: Final = "The server stops; try again in a moment."
CACHE_KILOBYTES = 65_536
BULK_LOAD_CACHE_KILOBYTES = 16_384
MAX_IDLE_READERS = 4
"""Connections kept open between read sessions; each has a page cache of its own."""

ANALYZE_MIN_CHANGES = 1000
"""A store that changed this many rows, such as an import, runs ANALYZE as it closes."""


class SQLiteReadSession(BaseReadSession):
    """Reads over one connection, which a snapshot keeps in a transaction, or over any idle one."""

    def __init__(
        self,
        statements: Statements,
        reader: Reader,
        connection: Callable[[], Connection],
        thread_connection: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        super().__init__(statements)
        self._reader = reader
        self._connection = connection
        self._thread_connection = thread_connection

    async def fetch(self, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            rows = self._reader.fetch_at_once(text, parameters, self._connection)
            if rows is None:
                rows = await self._reader.fetch_on_thread(text, parameters, self._thread_connection)
        except sqlite3.OperationalError as error:
            raise translate_error(error) from error
        return rows


class _DetachedReads(BaseReadSession):
    """Reads over one connection, on the thread that it belongs to."""

    def __init__(self, statements: Statements, connection: Connection) -> None:
        super().__init__(statements)
        self._connection = connection

    async def fetch(self, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(text, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise translate_error(error) from error


class SQLiteWriteSession(BaseWriteSession):
    """Writes over the shared connection."""

    def __init__(self, statements: Statements, connection: sqlite3.Connection) -> None:
        super().__init__(statements)
        self.connection = connection

    async def fetch(self, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(text, parameters).fetchall()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[WriteSession]:
        self.connection.execute("SAVEPOINT block")
        try:
            yield self
        except Exception as error:
            # A serious error, such as a full disk, has ended the transaction already.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO block")
                self.connection.execute("RELEASE block")
            if isinstance(error, sqlite3.Error):
                raise translate_error(error) from error
            raise
        self.connection.execute("RELEASE block")

    async def insert_rows(self, rows: EncodedRows) -> None:
        self._execute_many("insert", rows, insert_row)

    async def update_rows(self, rows: EncodedRows) -> None:
        self._execute_many("update", rows, update_row)

    def _execute_many(self, kind: str, rows: EncodedRows, compose: Callable[[EncodedRows], Fragment]) -> None:
        statement = self.statements.statement((kind, rows.shape), lambda: compose(rows).numbered(self.dialect))
        values = statement.bind(rows.values).values
        self.connection.executemany(statement.text, zip(*values, strict=True))

    async def write(
        self, writes: Sequence[Insert | Update], returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        returned: dict[int, Record] = {}
        # Returned records come first: what they embed is read as it was before the other writes.
        for each in sorted(writes, key=lambda each: each.entity is not returning):
            if isinstance(each, Update):
                self.note_changes(each.entity, [change for _, change in each.changes])
                await self.update_rows(encode_updates(self.statements, each.entity, each.changes))
                continue
            entity, records = each.entity, each.records
            ids = given_ids(each) or (await self.next_ids({entity: len(records)}))[entity]
            await self.insert_rows(encode_inserts(self.statements, entity, ids, records))
            if entity is returning:
                returned = await self.get_many(entity, ids)
        return returned

    async def delete_rows(self, table: str, column: str, ids: Sequence[int]) -> None:
        within = self.dialect.in_array(column, "?1")
        self.connection.execute(f"DELETE FROM {table} WHERE {within}", (self.dialect.array_parameter(ids),))

    async def next_ids(self, counts: Mapping[type[Entity], int]) -> dict[type[Entity], list[int]]:
        fresh = {}
        for entity, count in counts.items():
            (last,) = self.connection.execute(
                "INSERT INTO id_sequence (name, last) VALUES (?1, ?2) "
                "ON CONFLICT (name) DO UPDATE SET last = last + ?2 RETURNING last",
                (table_name(entity), count),
            ).fetchone()
            fresh[entity] = list(range(last - count + 1, last + 1))
        return fresh

    async def advance_ids(self, entity: type[Entity], highest: int) -> None:
        self.connection.execute(
            "INSERT INTO id_sequence (name, last) VALUES (?1, ?2) "
            "ON CONFLICT (name) DO UPDATE SET last = max(last, ?2)",
            (table_name(entity), highest),
        )


class SQLiteStore:
    """Sessions over one database file.

    A write waits at most `busy_seconds` in total for other writes and other processes. A read takes at most
    `statement_seconds`, if given.
    """

    def __init__(self, path: str, busy_seconds: float = BUSY_SECONDS, statement_seconds: float | None = None) -> None:
        self._busy_seconds = busy_seconds
        self._folder = TemporaryDirectory() if path == ":memory:" else None
        file = Path(self._folder.name, "memory.db") if self._folder else Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_private(file)
        self.path = str(file)
        self.statements = Statements(SQLite())
        self.connection = open_connection(self.path)
        self._readers: list[Connection] = []
        self._write_lock = asyncio.Lock()
        self._reader = Reader(statement_seconds)
        self._single_reads = SQLiteReadSession(
            self.statements, self._reader, self._idle_connection, self._own_connection
        )

    def read_session(self, *, snapshot: bool = True) -> AbstractAsyncContextManager[SQLiteReadSession]:
        return self._snapshot() if snapshot else nullcontext(self._single_reads)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[SQLiteReadSession]:
        with self._own_connection() as connection:
            connection.execute("BEGIN")
            try:
                yield SQLiteReadSession(
                    self.statements, self._reader, lambda: connection, lambda: nullcontext(connection)
                )
            finally:
                # A serious error, such as a full disk, has ended the transaction already.
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def _own_connection(self) -> Iterator[Connection]:
        """A connection that nothing else uses during the block."""
        connection = self._readers.pop() if self._readers else open_connection(self.path)
        try:
            yield connection
        finally:
            self._readers.append(connection)
            self._close_readers(MAX_IDLE_READERS)

    async def read_detached(self, work: Callable[[ReadSession], Awaitable[T]]) -> T:
        def run() -> T:
            connection = open_connection(self.path)
            try:
                connection.execute("BEGIN")
                return run_alone(work(_DetachedReads(self.statements, connection)))
            finally:
                connection.close()

        return await asyncio.to_thread(run)

    def _idle_connection(self) -> Connection:
        # Looked up for each statement: a write session may begin between two statements, and
        # nothing uncommitted may be seen.
        if not self._write_lock.locked():
            return self.connection
        if not self._readers:
            self._readers.append(open_connection(self.path))
        return self._readers[-1]

    def _close_readers(self, kept: int = 0) -> None:
        while len(self._readers) > kept:
            self._readers.pop().close()

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[SQLiteWriteSession]:
        async with self._turn() as deadline, self._transaction(deadline) as session:
            yield session
        await session.finish_commit()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[float]:
        """Holds the write lock; yields the deadline of the wait for other processes."""
        started = monotonic()
        deadline = started + self._busy_seconds
        try:
            async with asyncio.timeout(self._busy_seconds):
                await self._write_lock.acquire()
        except TimeoutError:
            raise Unavailable(BUSY_MESSAGE) from None
        finally:
            DATABASE_WAIT_SECONDS.observe(monotonic() - started)
        try:
            yield deadline
        finally:
            self._write_lock.release()

    @asynccontextmanager
    async def bulk_load(self, entities: Sequence[type[Entity]]) -> AsyncIterator[WriteSession]:
        async with self._turn() as deadline:
            # Indexes are sorted on disk, in pieces as large as the cache. Inserts need little of it,
            # so memory stays flat however many rows there are.
            self.connection.execute("PRAGMA temp_store = FILE")
            self.connection.execute(f"PRAGMA cache_size = -{BULK_LOAD_CACHE_KILOBYTES}")
            self._set_journal_mode("DELETE")
            try:
                async with (
                    self._transaction(deadline) as session,
                    suspend(session.fetch, session.dialect, entities),
                ):
                    yield session
            finally:
                self._set_journal_mode("WAL")
                self.connection.execute("PRAGMA temp_store = MEMORY")
                self.connection.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
        await session.finish_commit()

    def _set_journal_mode(self, mode: str) -> None:
        """Sets the journal mode, unless other connections have the file open.

        A bulk load into an empty database uses a rollback journal (DELETE): with WAL every page would
        be written twice, and the log would be as large as the file.
        """
        self._close_readers()
        with suppress(sqlite3.OperationalError):
            self.connection.execute(f"PRAGMA journal_mode = {mode}")

    @asynccontextmanager
    async def _transaction(self, deadline: float) -> AsyncIterator[SQLiteWriteSession]:
        await self._begin(deadline)
        try:
            session = SQLiteWriteSession(self.statements, self.connection)
            yield session
            await session.raise_cache_revision()
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translate_error(error) from error
            raise

    async def _begin(self, deadline: float) -> None:
        pause = 0.001
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or monotonic() > deadline:
                    raise translate_error(error) from error
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.25, 0.05)

    async def close(self) -> None:
        await self._reader.close()
        if self.connection.total_changes >= ANALYZE_MIN_CHANGES:
            # Without statistics, SQLite cannot tell a selective index from one that is not.
            with suppress(sqlite3.OperationalError):
                self.connection.execute("PRAGMA analysis_limit = 400")
                self.connection.execute("ANALYZE")
        self.connection.close()
        self._close_readers()
        if self._folder:
            self._folder.cleanup()


def _make_private(file: Path) -> None:
    """Makes the database private before SQLite opens it; SQLite gives new logs the same mode."""
    ensure_private(file)
    for suffix in ("-wal", "-shm", "-journal"):
        # Another process that closes the database may delete its logs concurrently.
        log = Path(f"{file}{suffix}")
        if log.exists():
            ensure_private(log)


def translate_error(error: sqlite3.Error) -> Exception:
    """The DomainError that a driver's error means, or the error itself."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return StateConflict(REFERENCED)
    if code & 0xFF == sqlite3.SQLITE_CONSTRAINT:
        return Conflict(LOST_RACE)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(BUSY_MESSAGE)
    if code == sqlite3.SQLITE_INTERRUPT:
        return Unavailable(STOPPED_MESSAGE)
    if code & 0xFF == sqlite3.SQLITE_FULL or code in _NO_ROOM:
        return Unavailable(NO_ROOM, NO_ROOM_SECONDS)
    return error


def open_connection(path: str) -> Connection:
    """A connection with the settings of the store."""
    connection = Connection(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.create_function("fold", 1, _casefold, deterministic=True)
    for pragma in (
        # First of all: another process may be closing the same file.
        "busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
        f"cache_size = -{CACHE_KILOBYTES}", "temp_store = MEMORY",
        # Otherwise INSERT OR REPLACE would delete a row without its delete trigger.
        "recursive_triggers = ON",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA busy_timeout = 0")
    return connection


def _casefold(text: Any) -> Any:
    return None if text is None else fold_case(str(text))
