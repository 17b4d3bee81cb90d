"""How columns, filters and sorts are said in SQL, over the relations that a statement walks.

Writes parts of statements from declared names and placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Enum,
    Guid,
    Integer,
    Object,
    Reference,
    Text,
)
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import (
    casefolded_name,
    column_name,
    is_casefolded,
    link_table,
    snake_case,
    table_name,
)

Decode = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class RowDecoder:
    """How the columns of a statement's rows become inner values, by position.

    `lists` are read even where the engine answers null, as it does for an empty collection.
    """

    decoders: tuple[tuple[int, Decode], ...]
    collections: tuple[tuple[int, Decode], ...]
    width: int

    def decode_row(self, values: Sequence[Any], skip: int = 0) -> list[Any]:
        row = list(values[skip : skip + self.width])
        for position, decode in self.decoders:
            value = row[position]
            if value is not None:
                row[position] = decode(value)
        for position, decode in self.collections:
            row[position] = decode(row[position])
        return row

    def decode_columns(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """The same of many rows, given column by column; for statements that read no lists."""
        if not rows:
            return [()] * self.width
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        for position, decode in self.decoders:
            column = columns[position]
            columns[position] = [None if value is None else decode(value) for value in column]
        return columns


class Joins:
    """The relations a statement walks, each joined once under an alias of its own."""

    def __init__(self, entity: type[Entity]) -> None:
        self.entity = entity
        self.aliases: dict[tuple[str, ...], str] = {(): "t"}
        self.clauses: list[str] = []

    def alias(self, path: tuple[str, ...]) -> str:
        known = self.aliases.get(path)
        if known:
            return known
        before = self.alias(path[:-1])
        source = self.entity
        for step in path[:-1]:
            source = _related_entity(source, step)
        target = _related_entity(source, path[-1])
        alias = f"j{len(self.aliases)}"
        self.aliases[path] = alias
        self.clauses.append(
            f" LEFT JOIN {table_name(target)} AS {alias} "
            f"ON {alias}.id = {before}.{snake_case(path[-1] + 'Id')}"
        )
        return alias

    @property
    def text(self) -> str:
        return "".join(self.clauses)


def _related_entity(entity: type[Entity], relation: str) -> type[Entity]:
    field = entity.fields[relation]
    assert isinstance(field, Reference)
    return entity_by_name(field.to)


def _is_selective(column: Column) -> bool:
    """Whether few rows have any one value of a column: an index finds them best."""
    is_id = column.name == "Id" or isinstance(column.field, Reference)
    return is_id or (column.indexed and isinstance(column.field, Integer))


def _leaf_column(column: Column) -> Column:
    """The stored column at the end of a lent column's path."""
    if column.is_own:
        return column
    entity = column.entity
    for step in column.path:
        entity = _related_entity(entity, step)
    return entity.meta().columns[column.leaf]


class ClauseBuilder:
    """The parts of statements, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def select_text(self, columns: Iterable[Column], joins: Joins) -> tuple[str, RowDecoder]:
        parts, reads = self.select_expressions(columns, joins)
        return ", ".join(parts), reads

    def select_expressions(
        self, columns: Iterable[Column], joins: Joins
    ) -> tuple[list[str], RowDecoder]:
        """The stored values of columns one by one, and how they become inner values."""
        parts: list[str] = []
        decodes: list[tuple[int, Decode]] = []
        lists: list[tuple[int, Decode]] = []
        for position, column in enumerate(columns):
            if isinstance(column.field, Collection):
                table, owner, item = link_table(column.entity, column.leaf)
                parts.append(self.dialect.collection_ids(table, owner, item, "t.id"))
                lists.append((position, self.dialect.decode_collection))
                continue
            parts.append(self.stored_expression(column, joins))
            decode = self.dialect.decoder(column.field)
            if decode is not None:
                decodes.append((position, decode))
        return parts, RowDecoder(tuple(decodes), tuple(lists), len(parts))

    def stored_expression(self, column: Column, joins: Joins) -> str:
        """The stored value of a column; NULL for what no table holds."""
        if column.denormalized:
            return f"t.{column_name(column)}"
        end = _leaf_column(column)
        if end.name not in _stored_names(end.entity):
            return "NULL"
        if _is_reference_id(column):
            return _reference_expression(column, joins)
        return f"{joins.alias(column.path)}.{column_name(end)}"

    def compared_expression(self, column: Column, joins: Joins) -> str:
        """What filters and sorts read: text without case, everything else as stored."""
        if column.denormalized:
            if column.as_text:
                return self._enum_text(column, f"t.{column_name(column)}")
            return f"t.{casefolded_name(column) if is_casefolded(column) else column_name(column)}"
        end = _leaf_column(column)
        if end.name not in _stored_names(end.entity):
            return "NULL"
        if _is_reference_id(column):
            return _reference_expression(column, joins)
        alias = joins.alias(column.path)
        if column.as_text:
            return self._enum_text(column, f"{alias}.{column_name(end)}")
        if is_casefolded(end):
            return f"{alias}.{casefolded_name(end)}"
        return f"{alias}.{column_name(end)}"

    @staticmethod
    def _enum_text(column: Column, stored: str) -> str:
        if isinstance(column.field, Boolean):
            return f"CASE WHEN {stored} THEN 'true' WHEN NOT {stored} THEN 'false' END"
        assert isinstance(column.field, Enum)
        cases = " ".join(f"WHEN {int(m)} THEN '{_member_text(m.name)}'" for m in column.field.of)
        return f"CASE {stored} {cases} END"

    def sort_expression(self, order: Order, joins: Joins) -> str:
        """The sort key, or nothing where Id alone decides."""
        column = order.column
        if column.name == "ToStringText" and column.entity.label:
            column = column.entity.meta().columns[column.entity.label]
        if column.name in ("Id", "ToStringText") or isinstance(column.field, Collection | Object):
            return ""
        compared = self.compared_expression(column, joins)
        return "" if compared == "NULL" else compared

    def where(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        joins: Joins | None = None,
        preceding: int = 0,
    ) -> tuple[str, str, int]:
        """The tests, the joins, and how many parameters are used, of which so many come before."""
        joins = joins or Joins(entity)
        tests: list[str] = []
        # Of what is tallied each location has an index along creation, but many rows.
        scope = entity.scope if entity.counted else None
        narrow = any(
            each.comparison is Comparison.EQUALS
            and each.column.name != scope
            and _is_selective(each.column)
            for each in filters
        )
        for each in filters:
            aside = narrow and each.column.name == scope
            text, taken = self._condition(each, joins, preceding, no_index=aside)
            tests.append(text)
            preceding += taken
        return (" WHERE " + " AND ".join(tests) if tests else ""), joins.text, preceding

    def _condition(
        self, filter_: Filter, joins: Joins, preceding: int, *, no_index: bool = False
    ) -> tuple[str, int]:
        column, test = filter_.column, filter_.comparison
        mark = self.dialect.placeholder(preceding + 1)
        if isinstance(column.field, Collection):
            return self._membership_condition(filter_, mark)
        compared = self.compared_expression(column, joins)
        if no_index:
            compared = self.dialect.no_index(compared)
        if filter_.custom_field is not None:
            if test in (Comparison.NULL, Comparison.NOT_NULL):
                there = self.dialect.custom_field_condition(compared, mark, "")
                return (there if test is Comparison.NOT_NULL else f"NOT {there}"), 1
            return self.dialect.custom_field_condition(
                compared, mark, self.dialect.placeholder(preceding + 2)
            ), 2
        if compared == "NULL":
            return ("1 = 1" if test is Comparison.NULL else "1 = 0"), 0
        match test:
            case Comparison.NULL:
                return f"{compared} IS NULL", 0
            case Comparison.NOT_NULL:
                return f"{compared} IS NOT NULL", 0
            case Comparison.CONTAINS:
                return self.dialect.contains(compared, mark), 1
            case Comparison.AT_LEAST:
                return f"{compared} >= {mark}", 1
            case Comparison.AT_MOST:
                return f"{compared} <= {mark}", 1
            case Comparison.BETWEEN:
                return (
                    f"({compared} >= {mark} AND {compared} < {self.dialect.placeholder(preceding + 2)})",
                    2,
                )
            case Comparison.ONE_OF:
                kind = self.dialect.column_types[type(column.field)].split()[0]
                return self.dialect.in_array(compared, mark, kind), 1
            case _:
                return f"{compared} = {mark}", 1

    def _membership_condition(self, filter_: Filter, placeholder: str) -> tuple[str, int]:
        table, owner, item = link_table(filter_.column.entity, filter_.column.leaf)
        there = f"EXISTS (SELECT 1 FROM {table} AS l WHERE l.{owner} = t.id"
        match filter_.comparison:
            case Comparison.NULL:
                return f"NOT {there})", 0
            case Comparison.NOT_NULL:
                return f"{there})", 0
            case Comparison.OVERLAPS | Comparison.ONE_OF:
                return f"{there} AND {self.dialect.in_array(f'l.{item}', placeholder)})", 1
            case _:
                return f"{there} AND l.{item} = {placeholder})", 1

    def filter_values(self, filters: Sequence[Filter]) -> list[Any]:
        """The parameters of these filters, in the order their tests name them."""
        values: list[Any] = []
        for each in filters:
            empty = each.comparison in (Comparison.NULL, Comparison.NOT_NULL)
            if each.custom_field is not None:
                values += (
                    [fold_case(each.custom_field)]
                    if empty
                    else [fold_case(each.custom_field), fold_case(str(each.value))]
                )
            elif empty or not _is_stored(each.column):
                continue
            elif each.comparison in (Comparison.ONE_OF, Comparison.OVERLAPS):
                listed = [self._encode_value(each.column, value) for value in sorted(each.value)]
                values.append(self.dialect.array_parameter(listed))
            elif each.comparison is Comparison.BETWEEN:
                values += [self._encode_value(each.column, value) for value in each.value]
            else:
                values.append(self._encode_value(each.column, each.value))
        return values

    def _encode_value(self, column: Column, value: Any) -> Any:
        if column.as_text and isinstance(value, str):
            return _member_text(value)
        if isinstance(value, str) and isinstance(column.field, Text | Guid):
            return fold_case(value)
        return value if column.as_text else self.dialect.encode(column.field, value)


def _member_text(name: str) -> str:
    """An enum member's name without case, and without what keeps it off Python's own words."""
    return fold_case(name).removesuffix("_")


def _is_reference_id(column: Column) -> bool:
    """Whether it is the Id of a related record, which the row before it already holds."""
    return bool(column.path) and column.leaf == "Id"


def _reference_expression(column: Column, joins: Joins) -> str:
    """One join fewer, and SQLite may begin at the related row, as no outer join is in its way."""
    return f"{joins.alias(column.path[:-1])}.{snake_case(column.path[-1] + 'Id')}"


def _is_stored(column: Column) -> bool:
    """Whether any table holds what the column shows."""
    if column.denormalized or isinstance(column.field, Collection):
        return True
    end = _leaf_column(column)
    return end.name in _stored_names(end.entity)


def _stored_names(entity: type[Entity]) -> frozenset[str]:
    """The names of the columns a table holds; worked out once, as hashing a column is slow."""
    found = _STORED_NAMES.get(entity)
    if found is None:
        found = _STORED_NAMES[entity] = frozenset(
            column.name for column in entity.meta().stored_columns
        )
    return found


_STORED_NAMES: dict[type[Entity], frozenset[str]] = {}
