"""From a file's row to what it says about a record: ids, inner values, and what is left out.

It must not know what the store already holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from creditdesk.schema.entity import COMPUTED, Column, Entity
from creditdesk.schema.fields import Collection, Field, Money, Unreadable
from creditdesk.schema.progress import Report
from creditdesk.transfer.cell_values import PLAIN, nothing, take
from creditdesk.transfer.files import Broken, Row

FORMS_REMEMBERED: Final = 1000
ROWS_AT_A_TIME: Final = 50
"""So many take about a millisecond."""
_NAMESPACE: Final = UUID("6f2f6d0e-8f43-5c0b-9d5a-6a6ed0f6a3c1")


@dataclass(frozen=True, slots=True)
class Said:
    """What one row says: the record's Id when it gives one, its UniqueId, and inner values."""

    number: int
    id: int | None
    unique_id: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """What rows with the same names have in common: the column that each name means, if any, with
    its plain reading, and what the record holds where a row leaves a value blank.
    """

    columns: tuple[tuple[Column, Callable[[Any, object], Any] | None] | None, ...]
    blank: dict[str, Any]


class Reader:
    """Reads the rows of one file as records of one entity, and reports what it cannot take.

    With `only` it passes over what all other columns say, but for Id and UniqueId.
    """

    def __init__(
        self,
        entity: type[Entity],
        path: Path,
        report: Report,
        only: Container[str] | None = None,
    ) -> None:
        self._entity, self._path, self._report = entity, path, report
        self._columns = _taken_columns(entity, only)
        self._meant: dict[str, Column | None] = {}
        self._forms: dict[tuple[str, ...], _Form] = {}

    def read(self, row: Row) -> Said | None:
        """What the row says, or None when a value that matters cannot be read."""
        names = tuple(row.values)
        form = self._forms.get(names)
        if form is None:
            form = self._form(names, cells=row.cells)
        values = form.blank.copy()
        for name, meant, raw in zip(names, form.columns, row.values.values(), strict=True):
            # Most values of a record are absent or plain.
            if raw is None or meant is None or (raw == "" and row.cells):
                continue
            column, plain = meant
            value = plain(column.kind, raw) if plain else ...
            if value is ...:
                try:
                    taken = take(column.kind, raw)
                except Unreadable as error:
                    if not self._goes_without(name, column.kind, row, error):
                        return None
                    values.pop(column.name, None)
                    continue
                if taken.rounded:
                    self._report.note(self._place(row, f"{name} {raw} is rounded to what is kept"))
                value = taken.value
            values[column.name] = value
        record_id = values.pop("Id", None) or None
        unique_id = values.pop("UniqueId", None) or self._made_up(row, record_id)
        return Said(row.number, record_id, unique_id, values)

    def _goes_without(self, name: str, kind: Field, row: Row, error: Unreadable) -> bool:
        """Whether the row is taken without what it says under a name; told either way."""
        kept = not (kind.required or isinstance(kind, Money) or name == "Id")
        end = "it is left empty" if kept else "the row is left out"
        self._report.problem(self._place(row, f"{name} {error}; {end}"))
        return kept

    def _form(self, names: tuple[str, ...], *, cells: bool) -> _Form:
        columns = [self._meant[n] if n in self._meant else self._column(n) for n in names]
        if len(self._forms) >= FORMS_REMEMBERED:
            self._forms.clear()
        form = self._forms[names] = _Form(
            tuple((c, PLAIN.get(type(c.kind))) if c else None for c in columns),
            {c.name: nothing(c.kind, cell=cells) for c in columns if c},
        )
        return form

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


def _taken_columns(entity: type[Entity], only: Container[str] | None) -> dict[str, Column | None]:
    """Lower-case name -> the column to take, or None for what is known and follows by itself."""
    shape = entity.shape()
    stored = {column.name for column in (*shape.stored, *shape.collections)}
    if only is not None:
        stored = {name for name in stored if name in only or name in ("Id", "UniqueId")}
    found: dict[str, Column | None] = {}
    for column in shape.columns.values():
        found[column.name.lower()] = column if column.name in stored else None
        if isinstance(column.kind, Collection):
            found[f"added{column.name}".lower()] = found[f"removed{column.name}".lower()] = None
    return found | {name.lower(): None for name in COMPUTED}


async def next_batch(
    reader: Reader, rows: Iterator[Row], size: int
) -> tuple[Broken | None, list[Said]]:
    """What the next rows say, at most so many; nothing when there are no more, and why not when
    the file cannot be read on. Every few rows it gives way to others, such as an earlier batch.
    """
    said: list[Said] = []
    try:
        while len(said) < size:
            taken = 0
            for row in islice(rows, min(ROWS_AT_A_TIME, size - len(said))):
                taken += 1
                one = reader.read(row)
                if one is not None:
                    said.append(one)
            if taken == 0:
                break
            await asyncio.sleep(0)
    except Broken as broken:
        return broken, said
    return None, said
