"""What a migration step is, and what it may ask of the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from creditdesk.storage.dialects import Dialect, Execute


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step. Its number is recorded in the database, so a step never changes later."""

    number: int
    name: str
    description: str
    apply: Callable[[Execute, Dialect], Awaitable[None]]


async def nothing(_execute: Execute, _dialect: Dialect) -> None:
    """For a step whose number alone matters: it keeps out programs that do not know it."""


async def existing_columns(execute: Execute, dialect: Dialect) -> dict[str, set[str]]:
    """The column names of every table, by table name."""
    if dialect.name == "sqlite":
        rows = await execute(
            "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'",
            (),
        )
    else:
        rows = await execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()",
            (),
        )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


async def drop_indexes(execute: Execute, names: Sequence[str]) -> None:
    for name in names:
        await execute(f"DROP INDEX IF EXISTS {name}", ())
