"""Fills many rows in batches, so that no batch keeps a writer waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALL_ROWS: Final = "TRUE"
"""The condition of an unlimited batch."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """Statements that fill rows of one table, those of a range of Ids at a time.

    `{rows}` in `batch` stands for the condition on `table.id`. A statement changes only rows that are not
    filled yet, so that a batch can be repeated. `before` is executed once, before the first batch, and
    `after` once after the last.
    """

    name: str
    table: str
    batch: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def statements(self, rows: str = ALL_ROWS) -> tuple[str, ...]:
        """The statements of one batch."""
        return tuple(statement.replace("{rows}", rows) for statement in self.batch)

    def id_range(self, after_id: int, last_id: int) -> str:
        """The condition on the rows of a batch."""
        return f"{self.table}.id > {after_id} AND {self.table}.id <= {last_id}"
