"""Records -> columns of values, as an engine's bulk writes take them. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Text, fold
from creditdesk.storage.codecs import fold_entries
from creditdesk.storage.denormalization import Copies, copies
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import column_name, folded_name, is_folded
from creditdesk.storage.queries import Statements


@dataclass(frozen=True, slots=True)
class TableValue:
    """A column that a bulk write fills: its name and its type."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Filled:
    """Columns of one table, each with as many values as there are rows, in the rows' order.

    `copied` is what new rows take over from the rows they refer to.
    """

    columns: list[TableValue]
    values: list[list[Any]]
    copied: tuple[Copies, ...] = ()


def inserted(
    statements: Statements,
    entity: type[Entity],
    ids: Sequence[int] | None,
    records: Sequence[Mapping[str, Any]],
) -> Filled:
    """What these records fill, under these ids if they are known; a column that is empty in all is
    left out.
    """
    fillings: list[_Filling] = statements.once(
        ("inserted", entity), lambda: list(_fillings(entity.shape().stored, statements.dialect))
    )
    columns: list[TableValue] = []
    values: list[list[Any]] = []
    # Records say little of what their entity can hold, so it is not asked for value by value.
    said = _columnwise(records)
    for filling in fillings:
        given: Sequence[Any] = (ids or ()) if filling.field == "Id" else said.get(filling.field, ())
        if given.count(None) == len(given):
            continue
        columns.append(filling.column)
        values.append(filling.written(list(given)))
    copied: tuple[Copies, ...] = statements.once(("copied", entity), lambda: copies(entity))
    named = {column.name for column in columns}
    return Filled(columns, values, tuple(each for each in copied if each.link in named))


def _columnwise(records: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    """Every value of records, under its name."""
    names = tuple(records[0])
    if all(tuple(record) == names for record in records):
        return dict(
            zip(names, zip(*(record.values() for record in records), strict=True), strict=True)
        )
    said: set[str] = set().union(*records)
    return {name: [record.get(name) for record in records] for name in said}


def updated(
    statements: Statements,
    entity: type[Entity],
    changes: Sequence[tuple[int, Mapping[str, Any]]],
) -> Filled:
    """What these changes set, the ids first; every change names what the first one names."""
    names = tuple(changes[0][1])

    def write() -> list[_Filling]:
        shape = entity.shape()
        stored = {column.name for column in shape.stored} - {"Id"}
        return list(
            _fillings([shape.columns[name] for name in names if name in stored], statements.dialect)
        )

    fillings: list[_Filling] = statements.once(("updated", entity, names), write)
    return Filled(
        [TableValue("id", "BIGINT"), *(filling.column for filling in fillings)],
        [
            [record_id for record_id, _ in changes],
            *(f.written([change[f.field] for _, change in changes]) for f in fillings),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Filling:
    """One column of a table, the field it is filled from, and how a value of it is written."""

    field: str
    column: TableValue
    convert: Callable[[Any], Any] | None

    def written(self, values: list[Any]) -> list[Any]:
        convert = self.convert
        if convert is None:
            return values
        return [None if value is None else convert(value) for value in values]


def _fillings(columns: Sequence[Column], dialect: Dialect) -> Iterator[_Filling]:
    for column in columns:
        kind = dialect.types[type(column.kind)].split()[0]
        convert = dialect.writers.get(type(column.kind))
        yield _Filling(column.name, TableValue(column_name(column), kind), convert)
        if is_folded(column):
            folded = fold if isinstance(column.kind, Text) else fold_entries
            yield _Filling(column.name, TableValue(folded_name(column), kind), folded)
