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

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import COMPUTED_FIELDS, Column, Entity
from creditdesk.schema.fields import Collection, Field, Money
from creditdesk.schema.progress import ProgressReporter
from creditdesk.transfer.cell_values import FAST_PARSERS, blank_value, parse_value
from creditdesk.transfer.files import FileRow, MalformedFile

MAX_CACHED_LAYOUTS: Final = 1000
ROWS_PER_YIELD: Final = 50
"""So many take about a millisecond."""
_NAMESPACE: Final = UUID("6f2f6d0e-8f43-5c0b-9d5a-6a6ed0f6a3c1")


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """What one row says: the record's Id when it gives one, its UniqueId, and inner values."""

    number: int
    id: int | None
    unique_id: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _HeaderLayout:
    """What rows with the same names have in common: the column that each name means, if any, with
    its plain reading, and what the record holds where a row leaves a value blank.
    """

    columns: tuple[tuple[Column, Callable[[Any, object], Any] | None] | None, ...]
    blank: dict[str, Any]


class RowParser:
    """Reads the rows of one file as records of one entity, and reports what it cannot take.

    With `only` it passes over what all other columns say, but for Id and UniqueId.
    """

    def __init__(
        self,
        entity: type[Entity],
        path: Path,
        report: ProgressReporter,
        only: Container[str] | None = None,
    ) -> None:
        self._entity, self._path, self._report = entity, path, report
        self._importable = _importable_columns(entity, only)
        self._columns_by_name: dict[str, Column | None] = {}
        self._layouts: dict[tuple[str, ...], _HeaderLayout] = {}

    def parse(self, row: FileRow) -> ParsedRow | None:
        """What the row says, or None when a value that matters cannot be read."""
        names = tuple(row.values)
        form = self._layouts.get(names)
        if form is None:
            form = self._layout_for(names, cells=row.is_csv)
        values = form.blank.copy()
        for name, meant, raw in zip(names, form.columns, row.values.values(), strict=True):
            # Most values of a record are absent or plain.
            if raw is None or meant is None or (raw == "" and row.is_csv):
                continue
            column, plain = meant
            value = plain(column.field, raw) if plain else ...
            if value is ...:
                try:
                    taken = parse_value(column.field, raw)
                except ParseError as error:
                    if not self._report_unreadable(name, column.field, row, error):
                        return None
                    values.pop(column.name, None)
                    continue
                if taken.rounded:
                    self._report.note(self._locate(row, f"{name} {raw} is rounded to what is kept"))
                value = taken.value
            values[column.name] = value
        record_id = values.pop("Id", None) or None
        unique_id = values.pop("UniqueId", None) or self._derived_unique_id(row, record_id)
        return ParsedRow(row.number, record_id, unique_id, values)

    def _report_unreadable(self, name: str, kind: Field, row: FileRow, error: ParseError) -> bool:
        """Whether the row is taken without what it says under a name; told either way."""
        kept = not (kind.required or isinstance(kind, Money) or name == "Id")
        end = "it is left empty" if kept else "the row is left out"
        self._report.problem(self._locate(row, f"{name} {error}; {end}"))
        return kept

    def _layout_for(self, names: tuple[str, ...], *, cells: bool) -> _HeaderLayout:
        columns = [
            self._columns_by_name[n] if n in self._columns_by_name else self._column_for(n)
            for n in names
        ]
        if len(self._layouts) >= MAX_CACHED_LAYOUTS:
            self._layouts.clear()
        form = self._layouts[names] = _HeaderLayout(
            tuple((c, FAST_PARSERS.get(type(c.field))) if c else None for c in columns),
            {c.name: blank_value(c.field, cell=cells) for c in columns if c},
        )
        return form

    def _column_for(self, name: str) -> Column | None:
        """The column a name means; asked once for each name, so what means none is told once."""
        known = self._importable.get(name.lower(), ...)
        if known is ...:
            self._report.note(f"{self._path.name}: the column {name} is not known and skipped")
        self._columns_by_name[name] = column = known if isinstance(known, Column) else None
        return column

    def _derived_unique_id(self, row: FileRow, record_id: int | None) -> str:
        """A UniqueId for a row without one: the same each time the same file is read."""
        said = f"#{record_id}" if record_id else f"{row.number} {sorted(row.values.items())!r}"
        return str(uuid5(_NAMESPACE, f"{self._entity.__name__} {said}"))

    def _locate(self, row: FileRow, message: str) -> str:
        return f"{self._path.name}: row {row.number}: {message}"


def _importable_columns(
    entity: type[Entity], only: Container[str] | None
) -> dict[str, Column | None]:
    """Lower-case name -> the column to take, or None for what is known and follows by itself."""
    shape = entity.meta()
    stored = {column.name for column in (*shape.stored_columns, *shape.collection_columns)}
    if only is not None:
        stored = {name for name in stored if name in only or name in ("Id", "UniqueId")}
    found: dict[str, Column | None] = {}
    for column in shape.columns.values():
        found[column.name.lower()] = column if column.name in stored else None
        if isinstance(column.field, Collection):
            found[f"added{column.name}".lower()] = found[f"removed{column.name}".lower()] = None
    return found | {name.lower(): None for name in COMPUTED_FIELDS}


async def parse_batch(
    parser: RowParser, rows: Iterator[FileRow], size: int
) -> tuple[MalformedFile | None, list[ParsedRow]]:
    """What the next rows say, at most so many; nothing when there are no more, and why not when
    the file cannot be read on. Every few rows it gives way to others, such as an earlier batch.
    """
    said: list[ParsedRow] = []
    try:
        while len(said) < size:
            taken = 0
            for row in islice(rows, min(ROWS_PER_YIELD, size - len(said))):
                taken += 1
                one = parser.parse(row)
                if one is not None:
                    said.append(one)
            if taken == 0:
                break
            await asyncio.sleep(0)
    except MalformedFile as broken:
        return broken, said
    return None, said
