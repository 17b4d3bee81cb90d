"""Plans a migration: its statements, the locks that they take, and how many rows they fill."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import StepKind
from creditdesk.storage.migrations.target import OneTransaction

_LOCKED: Final = re.compile(
    r"(?:ALTER TABLE|DROP TABLE IF EXISTS|DROP TABLE|TRIGGER .*? ON|REFERENCES) (\w+)", re.DOTALL
)
"""Matches the tables that a statement locks while it runs."""


@dataclass(slots=True)
class PlannedChange:
    """A pending change: its statements, and their effects on running servers.

    `filled` are the tables whose rows are filled in batches, each with an estimate of its rows.
    """

    title: str
    kind: StepKind
    statements: list[str] = field(default_factory=list)
    indexes: int = 0
    filled: dict[str, int] = field(default_factory=dict)

    @property
    def locked_tables(self) -> list[str]:
        """The tables that are locked, each for a moment."""
        created = {name for text in self.statements for name in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", text)}
        return sorted({name for text in self.statements for name in _LOCKED.findall(text)} - created)


class RecordingTarget(OneTransaction):
    """Applies changes to a copy of the schema without rows, and records them with their statements."""

    def __init__(self, execute: Execute, dialect: Dialect, row_estimates: Mapping[str, int]) -> None:
        super().__init__(self._record, dialect)
        self.changes: list[PlannedChange] = []
        self._execute = execute
        self._row_estimates = row_estimates

    def announce(self, title: str, kind: StepKind) -> None:
        self.changes.append(PlannedChange(title, kind))

    async def build_index(self, name: str, statement: str) -> None:  # noqa: ARG002 - the statement names it
        concurrently = statement.replace("INDEX ", "INDEX CONCURRENTLY ", 1)
        self.changes[-1].statements.append(f"{statement if self.dialect.name == 'sqlite' else concurrently};")
        self.changes[-1].indexes += 1
        await self._execute(statement, ())

    async def backfill(self, backfill: Backfill) -> None:
        self.changes[-1].filled[backfill.table] = self._row_estimates.get(backfill.table, 0)
        await super().backfill(backfill)

    async def _record(self, text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if self.changes and not text.startswith("SELECT") and text != "PRAGMA schema_version":
            values = f" -- {', '.join(repr(each) for each in parameters)}" if parameters else ""
            self.changes[-1].statements.append(f"{text.strip()};{values}")
        return await self._execute(text, parameters)


async def estimate_rows(execute: Execute, dialect: Dialect) -> dict[str, int]:
    """The approximate number of rows of each table, without reading them."""
    if dialect.name == "postgresql":
        rows = await execute(
            "SELECT relname, reltuples::bigint FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'",
            (),
        )
        return {str(name): max(int(count), 0) for name, count in rows}
    tables = await execute(
        "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND c.name = 'id' AND c.pk = 1",
        (),
    )
    return {str(name): int((await execute(f"SELECT coalesce(max(id), 0) FROM {name}", ()))[0][0]) for (name,) in tables}
