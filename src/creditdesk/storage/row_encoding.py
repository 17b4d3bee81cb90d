"""Encodes records as columns of database values for bulk writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Text
from creditdesk.storage.codecs import casefold_custom_fields
from creditdesk.storage.denormalization import Denormalization, denormalizations
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Encode
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded, table_name
from creditdesk.storage.queries import Statements


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A table column that a bulk write sets."""

    name: str
    sql_type: str


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Columns of one table, each with one value for each row, in the rows' order.

    `denormalized` says what inserted rows copy from the rows that they refer to.
    """

    table: str
    columns: list[TypedColumn]
    values: list[list[Any]]
    denormalized: tuple[Denormalization, ...] = ()

    @property
    def is_single(self) -> bool:
        return len(self.values[0]) == 1

    @property
    def shape(self) -> tuple[Any, ...]:
        """The key of the text of a statement over these rows."""
        references = (each.reference_column for each in self.denormalized)
        return self.table, tuple(column.name for column in self.columns), tuple(references)


def encode_inserts(
    statements: Statements,
    entity: type[Entity],
    ids: Sequence[int] | None,
    records: Sequence[Mapping[str, Any]],
) -> EncodedRows:
    """Rows for these records; columns that are null in every record are left out.

    Without `ids` the column of the id is left out too.
    """
    # Records set few of their entity's fields, so absent ones are skipped as whole columns.
    present = {name: values for name, values in _transpose(records).items() if values.count(None) < len(values)}
    if ids is None:
        present.pop("Id", None)
    else:
        present["Id"] = ids
    fields = frozenset(present)
    layout: _InsertLayout = statements.cached(
        ("insert layout", entity, fields), lambda: _insert_layout(entity, fields, statements.dialect)
    )
    values = [each.encode_values(list(present[each.field])) for each in layout.encoders]
    return EncodedRows(layout.table, layout.columns, values, layout.denormalized)


class _InsertLayout(NamedTuple):
    """The columns that rows with the same fields set, and how they are encoded."""

    table: str
    encoders: list[_ColumnEncoder]
    columns: list[TypedColumn]
    denormalized: tuple[Denormalization, ...]


def _insert_layout(entity: type[Entity], fields: AbstractSet[str], dialect: Dialect) -> _InsertLayout:
    stored = [column for column in entity.meta().stored_columns if column.name in fields]
    encoders = list(_column_encoders(stored, dialect))
    columns = [each.column for each in encoders]
    names = {column.name for column in columns}
    copied = tuple(each for each in denormalizations(entity) if each.reference_column in names)
    return _InsertLayout(table_name(entity), encoders, columns, copied)


def _transpose(records: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    """The values of all records by field name, None where a record lacks the field."""
    names = tuple(records[0])
    if all(tuple(record) == names for record in records):
        return dict(zip(names, zip(*(record.values() for record in records), strict=True), strict=True))
    every: set[str] = set().union(*records)
    return {name: [record.get(name) for record in records] for name in every}


def encode_updates(
    statements: Statements,
    entity: type[Entity],
    changes: Sequence[tuple[int, Mapping[str, Any]]],
) -> EncodedRows:
    """Rows with the ids first, for changes that all name the same fields as the first one."""
    names = tuple(changes[0][1])

    def build() -> list[_ColumnEncoder]:
        stored = {c.name: c for c in entity.meta().stored_columns if c.name != "Id"}
        columns = [stored[name] for name in names if name in stored]
        return list(_column_encoders(columns, statements.dialect))

    encoders: list[_ColumnEncoder] = statements.cached(("update encoders", entity, names), build)
    ids = [record_id for record_id, _ in changes]
    values = (each.encode_values([c[each.field] for _, c in changes]) for each in encoders)
    return EncodedRows(
        table_name(entity),
        [TypedColumn("id", "BIGINT"), *(each.column for each in encoders)],
        [ids, *values],
    )


@dataclass(frozen=True, slots=True)
class _ColumnEncoder:
    """A table column, the field whose values it holds, and their conversion."""

    field: str
    column: TypedColumn
    encode: Encode | None

    def encode_values(self, values: list[Any]) -> list[Any]:
        encode = self.encode
        if encode is None:
            return values
        first = values[0]
        if isinstance(first, datetime | str) and values.count(first) == len(values):
            # Most columns of a batch have one value: its time, its author, its kinds.
            return [encode(first)] * len(values)
        return [None if value is None else encode(value) for value in values]


def _column_encoders(columns: Sequence[Column], dialect: Dialect) -> Iterator[_ColumnEncoder]:
    for column in columns:
        sql_type = dialect.column_types[type(column.field)].split()[0]
        encode = dialect.encoders.get(type(column.field))
        yield _ColumnEncoder(column.name, TypedColumn(column_name(column), sql_type), encode)
        if is_casefolded(column):
            folded = fold_case if isinstance(column.field, Text) else casefold_custom_fields
            yield _ColumnEncoder(column.name, TypedColumn(casefolded_name(column), sql_type), folded)
