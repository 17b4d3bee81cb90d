"""The declaration of a migration step, and helpers for steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.backfill import Backfill

Change = Callable[[Execute, Dialect], Awaitable[None]]
"""Statements that take effect together, in one short transaction."""


class StepKind(StrEnum):
    """Whether a step may be applied while programs that do not know it serve the database."""

    EXPAND = "expand"
    CONTRACT = "contract"


def no_backfills(_columns: Mapping[str, set[str]]) -> Sequence[Backfill]:
    """For a step that changes no rows, or so few that it changes them at once."""
    return ()


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step. Its number is recorded in the database, so a step never changes later.

    `apply` can be repeated. `backfills` get the columns of every table; those of an expand step follow
    it, those of a contract step prepare it while older programs still serve. `tables` appear by this
    step, by new names, so they are not created before it.
    """

    number: int
    name: str
    description: str
    apply: Change
    kind: StepKind = StepKind.EXPAND
    backfills: Callable[[Mapping[str, set[str]]], Sequence[Backfill]] = no_backfills
    tables: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.number} {self.name}: {self.description}"


async def nothing(_execute: Execute, _dialect: Dialect) -> None:
    """The change of a step that only has to exist, to keep out programs that do not know it."""


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
