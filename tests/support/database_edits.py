"""Random edits of a database by somebody who can write to it, past triggers and constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

CHANGE, SWAP, DELETE, COPY = "change", "swap", "delete", "copy"


class Database(Protocol):
    """A connection to a database in which constraints and triggers do nothing."""

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement and returns its rows."""

    async def columns(self, table: str) -> dict[str, str]:
        """The names and types of a table's columns."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: of a column of a row, or of a whole row."""

    kind: str
    table: str
    column: str
    row: str
    value: str = ""
    is_booking_charge: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.table}.{self.column} where {self.row}: {self.value}"


async def draw_edit(database: Database, tables: Sequence[str], random: Random) -> Edit | None:
    """Draws an edit and makes it; None where the drawn one would change nothing."""
    table = random.choice(tables)
    columns = await database.columns(table)
    keys = ["id"] if "id" in columns else list(columns)
    rows = await database.rows(f"SELECT {', '.join(keys)} FROM {table} ORDER BY {', '.join(keys)}")
    if not rows:
        return None
    row = _condition(keys, random.choice(rows))
    charges = "SELECT 1 FROM coworker_extra_service WHERE booking_id IS NOT NULL AND "
    is_charge = table == "coworker_extra_service" and bool(await database.rows(charges + row))
    kind = random.choices((CHANGE, SWAP, DELETE, COPY), (12, 2, 1, 1))[0]
    column, value = "*", ""
    if kind == DELETE:
        await database.rows(f"DELETE FROM {table} WHERE {row}")
    elif kind == COPY:
        value = await _copy(database, table, columns, row, random)
    else:
        column = random.choice([name for name in columns if not name.endswith("_fold")])
        other = _condition(keys, random.choice(rows))
        value = (
            await _swap(database, table, column, (row, other), columns)
            if kind == SWAP
            else await _change(database, table, column, row, columns, random)
        )
    return None if kind != DELETE and not value else Edit(kind, table, column, row, value, is_charge)


async def _change(
    database: Database, table: str, column: str, row: str, columns: dict[str, str], random: Random
) -> str:
    """Sets another value and returns it; empty where none was found."""
    [(before,)] = await database.rows(f"SELECT {column} FROM {table} WHERE {row}")
    value = literal(_other_value(before, columns[column], random))
    if value == literal(before):
        return ""
    await _set(database, table, column, value, row, columns)
    return value


async def _copy(database: Database, table: str, columns: dict[str, str], row: str, random: Random) -> str:
    """Inserts a copy of a row and returns its new id; empty for a table without ids."""
    if "id" not in columns:
        return ""
    new = str(random.randrange(10_000, 20_000))
    changed = {"id": new, "unique_id": literal(f"copy-{new}")}
    values = ", ".join(changed.get(name, name) for name in columns)
    await database.rows(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {row}")
    return new


async def _swap(database: Database, table: str, column: str, rows: tuple[str, str], columns: dict[str, str]) -> str:
    """Exchanges the values of a column between two rows and returns the other row; empty where they are equal."""
    values = [(await database.rows(f"SELECT {column} FROM {table} WHERE {row}"))[0][0] for row in rows]
    if values[0] == values[1] or column == "id" or "id" not in columns:
        return ""
    # A unique index allows no moment in which both rows have the same value.
    await _set(database, table, column, "'-'" if isinstance(values[0], str) else "NULL", rows[0], columns)
    await _set(database, table, column, literal(values[0]), rows[1], columns)
    await _set(database, table, column, literal(values[1]), rows[0], columns)
    return f"with {rows[1]}"


async def _set(database: Database, table: str, column: str, value: str, row: str, columns: dict[str, str]) -> None:
    """Sets a column, and its case-folded form where it has one."""
    folded = f", {column}_fold = lower({value})" if f"{column}_fold" in columns else ""
    await database.rows(f"UPDATE {table} SET {column} = {value}{folded} WHERE {row}")


def _other_value(before: Any, type_: str, random: Random) -> Any:
    """A value of the same type that differs."""
    if isinstance(before, bool) or (before is not None and "BOOL" in type_.upper()):
        return not before
    if isinstance(before, int):
        return before + random.choice((-10_000, -1, 1, 2, 10_000))
    if isinstance(before, datetime):
        return before + timedelta(seconds=random.choice((-86_400, -1, 1, 86_400)))
    if isinstance(before, str):
        return random.choice((before + "x", "y" + before[1:] if before[:1] != "y" else "z", ""))
    kind = type_.upper()
    if "TEXT" in kind:
        return "x"
    if "TIMESTAMP" in kind:
        return datetime(2026, 5, 1, tzinfo=UTC)
    return True if "BOOL" in kind else random.randrange(1, 9)


def literal(value: Any) -> str:
    """The value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _condition(keys: Sequence[str], row: tuple[Any, ...]) -> str:
    return " AND ".join(f"{key} = {literal(value)}" for key, value in zip(keys, row, strict=True))
