"""Units of work on SQLite: short statements on one shared connection, never an await inside.

A writing unit holds the connection for itself from BEGIN IMMEDIATE to COMMIT. A reader that
finds it taken uses a second connection, which sees what is committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import Blocked, Conflict
from creditdesk.schema.fields import fold
from creditdesk.schema.repository import Insert, Reading, Unit, Update
from creditdesk.storage.bulk_load import set_aside
from creditdesk.storage.dialects import SQLite
from creditdesk.storage.naming import table_name
from creditdesk.storage.queries import Statements
from creditdesk.storage.row_encoding import Filled, inserted, updated
from creditdesk.storage.session import RecordReading, RecordUnit, ids_of

BUSY_SECONDS = 20.0
CACHE_KILOBYTES = 65_536
LOAD_CACHE_KILOBYTES = 16_384
ANALYZED_FROM_CHANGES = 1000
"""A store that wrote so many rows, such as an import, has its tables looked at as it closes."""


class SQLiteReading(RecordReading):
    """Reading over whichever connection no writing unit holds when a question is put."""

    def __init__(self, statements: Statements, free: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(statements)
        self._free = free

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held between two questions."""

    async def fetch(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._free().execute(text, values).fetchall()


class SQLiteUnit(RecordUnit):
    """Writing over the shared connection."""

    def __init__(self, statements: Statements, connection: sqlite3.Connection) -> None:
        super().__init__(statements)
        self.connection = connection

    async def fetch(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(text, values).fetchall()

    async def run_many(self, table: str, filled: Filled) -> None:
        marks = {column.name: f"?{i}" for i, column in enumerate(filled.columns, 1)}
        names, values, joins = list(marks), list(marks.values()), ""
        for number, each in enumerate(filled.copied):
            names += each.columns
            values += [f"s{number}.{origin}" for origin in each.origins]
            joins += f" LEFT JOIN {each.source} AS s{number} ON s{number}.id = {marks[each.link]}"
        self.connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) "
            f"SELECT {', '.join(values)} FROM (SELECT 1){joins}",
            zip(*filled.values, strict=True),
        )

    async def update_many(self, table: str, filled: Filled) -> None:
        sets = ", ".join(f"{column.name} = ?{i}" for i, column in enumerate(filled.columns[1:], 2))
        self.connection.executemany(
            f"UPDATE {table} SET {sets} WHERE id = ?1", zip(*filled.values, strict=True)
        )

    async def write(
        self, writes: Sequence[Insert | Update], showing: type[Entity] | None = None
    ) -> dict[int, Record]:
        shown: dict[int, Record] = {}
        # What is shown comes first, as it lends what was there before the other writes.
        for each in sorted(writes, key=lambda each: each.entity is not showing):
            table = table_name(each.entity)
            if isinstance(each, Update):
                await self.update_many(table, updated(self.statements, each.entity, each.changes))
                continue
            ids = (
                ids_of(each) or (await self.next_ids({each.entity: len(each.records)}))[each.entity]
            )
            await self.run_many(table, inserted(self.statements, each.entity, ids, each.records))
            if each.entity is showing:
                shown = await self.many(each.entity, ids)
        return shown

    async def delete_where(self, table: str, column: str, ids: Sequence[int]) -> None:
        within = self.dialect.within(column, "?1")
        self.connection.execute(f"DELETE FROM {table} WHERE {within}", (self.dialect.ids(ids),))

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

    async def taken_ids(self, entity: type[Entity], highest: int) -> None:
        self.connection.execute(
            "INSERT INTO id_sequence (name, last) VALUES (?1, ?2) "
            "ON CONFLICT (name) DO UPDATE SET last = max(last, ?2)",
            (table_name(entity), highest),
        )


class SQLiteStore:
    """Where units of work come from when the records are in one file."""

    def __init__(self, path: str) -> None:
        self._folder = TemporaryDirectory() if path == ":memory:" else None
        file = Path(self._folder.name, "memory.db") if self._folder else Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.path = str(file)
        self.statements = Statements(SQLite())
        self.connection = _connect(self.path)
        self._reader: sqlite3.Connection | None = None
        self._taken = asyncio.Lock()
        self._reading = SQLiteReading(self.statements, self._free)

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        return self._reading

    def _free(self) -> sqlite3.Connection:
        # Asked at each question: a unit may begin while a reader is between two of them, and
        # nobody may see what is not committed.
        if not self._taken.locked():
            return self.connection
        if self._reader is None:
            self._reader = _connect(self.path)
        return self._reader

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Unit]:
        async with self._taken, self._transaction() as unit:
            yield unit

    @asynccontextmanager
    async def loading(self, entities: Sequence[type[Entity]]) -> AsyncIterator[Unit]:
        async with self._taken:
            # An index over very many rows is sorted on disk, in pieces as large as the cache: rows
            # that only come need little of it, so memory stays flat however many they are.
            self.connection.execute("PRAGMA temp_store = FILE")
            self.connection.execute(f"PRAGMA cache_size = -{LOAD_CACHE_KILOBYTES}")
            self._journal("DELETE")
            try:
                async with (
                    self._transaction() as unit,
                    set_aside(unit.fetch, unit.dialect, entities),
                ):
                    yield unit
            finally:
                self._journal("WAL")
                self.connection.execute("PRAGMA temp_store = MEMORY")
                self.connection.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")

    def _journal(self, mode: str) -> None:
        """Has the file keep what undoes a transaction (DELETE) or what it wrote (WAL).

        A load writes very much over very little: with WAL all of it would be written twice, and
        the log be as large as the file. Where others have the file open, the mode stays.
        """
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        with suppress(sqlite3.OperationalError):
            self.connection.execute(f"PRAGMA journal_mode = {mode}")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[SQLiteUnit]:
        await self.begin()
        try:
            yield SQLiteUnit(self.statements, self.connection)
            self.connection.execute("COMMIT")
        except BaseException as fault:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(fault, sqlite3.Error):
                raise translated(fault) from fault
            raise

    async def begin(self) -> None:
        waited = 0.0
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as fault:
                busy = fault.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or waited > BUSY_SECONDS:
                    raise translated(fault) from fault
            pause = min(0.001 + waited / 4, 0.05)
            await asyncio.sleep(pause)
            waited += pause

    async def close(self) -> None:
        if self.connection.total_changes >= ANALYZED_FROM_CHANGES:
            # Without figures of what the tables hold, it cannot tell a narrow index from a wide one.
            with suppress(sqlite3.OperationalError):
                self.connection.execute("PRAGMA analysis_limit = 400")
                self.connection.execute("ANALYZE")
        self.connection.close()
        if self._reader is not None:
            self._reader.close()
        if self._folder:
            self._folder.cleanup()


def translated(fault: sqlite3.Error) -> Exception:
    """The refusal an engine's error stands for, or the error itself."""
    code = getattr(fault, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return Blocked("This record cannot be changed so: other records refer to it.")
    if code & 0xFF == sqlite3.SQLITE_CONSTRAINT or code & 0xFF == sqlite3.SQLITE_BUSY:
        return Conflict("Another change came first; nothing was done. Please try again.")
    return fault


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.create_function("fold", 1, _fold, deterministic=True)
    for pragma in (
        # Before all else: another process may be closing the same file at this very moment.
        "busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
        f"cache_size = -{CACHE_KILOBYTES}", "temp_store = MEMORY",
        # Otherwise INSERT OR REPLACE would remove a row past the trigger that guards it.
        "recursive_triggers = ON",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA busy_timeout = 0")
    return connection


def _fold(text: Any) -> Any:
    return None if text is None else fold(str(text))
