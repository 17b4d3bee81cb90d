"""From a file's row to what it says about a record: ids, inner values, and what is left out.

It must not know what the store already holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import COMPUTED, Column, Entity
from creditdesk.schema.kinds import Collection, Money, Unreadable
from creditdesk.sync.files import Row
from creditdesk.sync.report import Report
from creditdesk.sync.values import take, take_cell

_NAMESPACE: Final = UUID("6f2f6d0e-8f43-5c0b-9d5a-6a6ed0f6a3c1")


@dataclass(frozen=True, slots=True)
class Said:
    """What one row says: the record's Id when it gives one, its UniqueId, and inner values."""

    number: int
    id: int | None
    unique_id: str
    values: dict[str, Any]


class Reader:
    """Reads the rows of one file as records of one entity, and reports what it cannot take."""

    def __init__(self, entity: type[Entity], path: Path, report: Report) -> None:
        self._entity, self._path, self._report = entity, path, report
        self._columns = _taken_columns(entity)
        self._meant: dict[str, Column | None] = {}
        self._nullable = frozenset(
            column.name
            for column in self._columns.values()
            if column and column.kind.nullable and not isinstance(column.kind, Collection)
        )

    def read(self, row: Row) -> Said | None:
        """What the row says, or None when a value that matters cannot be read."""
        values: dict[str, Any] = {}
        meant = self._meant
        for name, raw in row.values.items():
            column = meant[name] if name in meant else self._column(name)
            if column is None:
                continue
            if raw is None and column.name in self._nullable:
                # So it is with most values of a record.
                values[column.name] = None
                continue
            try:
                taken = take_cell(column.kind, raw) if row.cells else take(column.kind, raw)
            except Unreadable as error:
                kept = not (column.kind.required or isinstance(column.kind, Money) or name == "Id")
                end = "it is left empty" if kept else "the row is left out"
                self._report.problem(self._place(row, f"{name} {error}; {end}"))
                if kept:
                    continue
                return None
            if taken.rounded:
                self._report.note(self._place(row, f"{name} {raw} is rounded to what is kept"))
            values[column.name] = taken.value
        record_id = values.pop("Id", None) or None
        unique_id = values.pop("UniqueId", None) or self._made_up(row, record_id)
        return Said(row.number, record_id, unique_id, values)

    def _column(self, name: str) -> Column | None:
        """The column a name means; asked once for each name, so what means none is told once."""
        known = self._columns.get(name.lower(), ...)
        if known is ...:
            self._report.note(f"{self._path.name}: the column {name} is not known and skipped")
        self._meant[name] = column = known if isinstance(known, Column) else None
        return column

    def _made_up(self, row: Row, record_id: int | None) -> str:
        """A UniqueId for a row without one: the same each time the same file is read."""
        said = f"#{record_id}" if record_id else f"{row.number} {sorted(row.values.items())!r}"
        return str(uuid5(_NAMESPACE, f"{self._entity.__name__} {said}"))

    def _place(self, row: Row, sentence: str) -> str:
        return f"{self._path.name}: row {row.number}: {sentence}"


def _taken_columns(entity: type[Entity]) -> dict[str, Column | None]:
    """Lower-case name -> the column to take, or None for what is known and follows by itself."""
    shape = entity.shape()
    stored = {column.name for column in (*shape.stored, *shape.collections)}
    found: dict[str, Column | None] = {}
    for column in shape.columns.values():
        found[column.name.lower()] = column if column.name in stored else None
        if isinstance(column.kind, Collection):
            found[f"added{column.name}".lower()] = found[f"removed{column.name}".lower()] = None
    return found | {name.lower(): None for name in COMPUTED}
