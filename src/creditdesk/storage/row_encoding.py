"""Records -> columns of values, as an engine's bulk writes take them. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Text
from creditdesk.storage.codecs import casefold_custom_fields
from creditdesk.storage.denormalization import Denormalization, denormalizations
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded
from creditdesk.storage.queries import Statements


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column that a bulk write fills: its name and its type."""

    name: str
    sql_type: str


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Columns of one table, each with as many values as there are rows, in the rows' order.

    `copied` is what new rows take over from the rows they refer to.
    """

    columns: list[TypedColumn]
    values: list[list[Any]]
    denormalized: tuple[Denormalization, ...] = ()


def encode_inserts(
    statements: Statements,
    entity: type[Entity],
    ids: Sequence[int] | None,
    records: Sequence[Mapping[str, Any]],
) -> EncodedRows:
    """What these records fill, under these ids if they are known; a column that is empty in all is
    left out.
    """
    fillings: list[_ColumnEncoder] = statements.cached(
        ("inserted", entity),
        lambda: list(_column_encoders(entity.meta().stored_columns, statements.dialect)),
    )
    columns: list[TypedColumn] = []
    values: list[list[Any]] = []
    # Records say little of what their entity can hold, so it is not asked for value by value.
    said = _transpose(records)
    for filling in fillings:
        given: Sequence[Any] = (ids or ()) if filling.field == "Id" else said.get(filling.field, ())
        if given.count(None) == len(given):
            continue
        columns.append(filling.column)
        values.append(filling.encode_values(list(given)))
    copied: tuple[Denormalization, ...] = statements.cached(
        ("copied", entity), lambda: denormalizations(entity)
    )
    named = {column.name for column in columns}
    return EncodedRows(
        columns, values, tuple(each for each in copied if each.reference_column in named)
    )


def _transpose(records: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    """Every value of records, under its name."""
    names = tuple(records[0])
    if all(tuple(record) == names for record in records):
        return dict(
            zip(names, zip(*(record.values() for record in records), strict=True), strict=True)
        )
    said: set[str] = set().union(*records)
    return {name: [record.get(name) for record in records] for name in said}


def encode_updates(
    statements: Statements,
    entity: type[Entity],
    changes: Sequence[tuple[int, Mapping[str, Any]]],
) -> EncodedRows:
    """What these changes set, the ids first; every change names what the first one names."""
    names = tuple(changes[0][1])

    def write() -> list[_ColumnEncoder]:
        shape = entity.meta()
        stored = {column.name for column in shape.stored_columns} - {"Id"}
        return list(
            _column_encoders(
                [shape.columns[name] for name in names if name in stored], statements.dialect
            )
        )

    fillings: list[_ColumnEncoder] = statements.cached(("updated", entity, names), write)
    return EncodedRows(
        [TypedColumn("id", "BIGINT"), *(filling.column for filling in fillings)],
        [
            [record_id for record_id, _ in changes],
            *(f.encode_values([change[f.field] for _, change in changes]) for f in fillings),
        ],
    )


@dataclass(frozen=True, slots=True)
class _ColumnEncoder:
    """One column of a table, the field it is filled from, and how a value of it is written."""

    field: str
    column: TypedColumn
    encode: Callable[[Any], Any] | None

    def encode_values(self, values: list[Any]) -> list[Any]:
        convert = self.encode
        if convert is None:
            return values
        return [None if value is None else convert(value) for value in values]


def _column_encoders(columns: Sequence[Column], dialect: Dialect) -> Iterator[_ColumnEncoder]:
    for column in columns:
        kind = dialect.column_types[type(column.field)].split()[0]
        convert = dialect.encoders.get(type(column.field))
        yield _ColumnEncoder(column.name, TypedColumn(column_name(column), kind), convert)
        if is_casefolded(column):
            folded = fold_case if isinstance(column.field, Text) else casefold_custom_fields
            yield _ColumnEncoder(column.name, TypedColumn(casefolded_name(column), kind), folded)
