"""SQL expressions and conditions over an entity's columns, and the joins that they need.

Composes text from declared names and named parameters; executes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType

from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Enum,
    Guid,
    Object,
    Reference,
    Text,
)
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Decode, Encode, Fragment, Parameter, RowDecoder
from creditdesk.storage.naming import (
    casefolded_name,
    column_name,
    is_casefolded,
    link_table,
    snake_case,
    table_name,
)
from creditdesk.storage.owner_locations import owner_locations
from creditdesk.storage.selectivity import (
    has_bounded_date,
    has_selective_filter,
    is_reference_id,
    may_be_narrow,
    selects_many,
)


class Joins:
    """The relations that a statement follows, each joined once under its own alias."""

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
            f" LEFT JOIN {table_name(target)} AS {alias} ON {alias}.id = {before}.{snake_case(path[-1] + 'Id')}"
        )
        return alias

    @property
    def text(self) -> str:
        return "".join(self.clauses)


def _related_entity(entity: type[Entity], relation: str) -> type[Entity]:
    field = entity.fields[relation]
    assert isinstance(field, Reference)
    return entity_by_name(field.to)


def _searched_column(column: Column) -> Column:
    """The column that a filter or sort compares: instead of a copy without an index, the copied value itself.

    The engine can then start from the few rows with that value, and read the index of the reference instead of the
    rows.
    """
    return replace(column, denormalized=False) if column.denormalized and not column.indexed else column


def _of_joined_records(filters: Sequence[Filter]) -> list[Filter]:
    """The filters, in which those on copies from or through a record that is joined anyway compare that record instead.

    The engine then finds the few records that match all filters, and their rows by the index of the reference.
    """
    joined = {_joined_path(each.column) for each in filters if each.column.path and not each.column.indexed}
    return [
        replace(each, column=replace(each.column, denormalized=False))
        if each.column.path and any(_joined_path(each.column)[: len(path)] == path for path in joined)
        else each
        for each in filters
    ]


def _joined_path(column: Column) -> tuple[str, ...]:
    """The relations that lead to the row that holds an embedded value."""
    return column.path[:-1] if is_reference_id(column) else column.path


def _leaf_column(column: Column) -> Column:
    """The stored column at the end of an embedded column's path."""
    if column.is_own:
        return column
    entity = column.entity
    for step in column.path:
        entity = _related_entity(entity, step)
    return entity.meta().columns[column.leaf]


class ClauseBuilder:
    """Composes the clauses of statements in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def select_expressions(self, columns: Iterable[Column], joins: Joins) -> tuple[list[str], RowDecoder]:
        """The SQL expressions of the stored values of columns, and the conversions to internal values."""
        expressions: list[str] = []
        names: list[str] = []
        decoders: list[tuple[int, Decode]] = []
        collections: list[tuple[int, Decode]] = []
        for position, column in enumerate(columns):
            names.append(column.name)
            if isinstance(column.field, Collection):
                table, owner, item = link_table(column.entity, column.leaf)
                expressions.append(self.dialect.collection_ids(table, owner, item, "t.id"))
                collections.append((position, self.dialect.decode_collection))
                continue
            expressions.append(self.stored_expression(column, joins))
            decode = self.dialect.decoder(column.field)
            if decode is not None:
                decoders.append((position, decode))
        return expressions, RowDecoder(tuple(names), tuple(decoders), tuple(collections))

    def select(
        self, columns: Iterable[Column], entity: type[Entity], where: Fragment, joins: Joins
    ) -> tuple[Fragment, RowDecoder]:
        """SELECT of stored values from an entity's table."""
        expressions, decoder = self.select_expressions(columns, joins)
        source = f"{table_name(entity)} AS t{joins.text}"
        return Fragment(f"SELECT {', '.join(expressions)} FROM {source}") + where, decoder

    def stored_expression(self, column: Column, joins: Joins) -> str:
        """The stored value of a column; NULL for a column that no table has."""
        if column.denormalized:
            return f"t.{column_name(column)}"
        end = _leaf_column(column)
        if end.name not in _stored_names(end.entity):
            return "NULL"
        if is_reference_id(column):
            return _reference_expression(column, joins)
        return f"{joins.alias(column.path)}.{column_name(end)}"

    def compared_expression(self, column: Column, joins: Joins) -> str:
        """What filters and sorts compare: casefolded text, everything else as stored."""
        if column.denormalized:
            if column.as_text:
                return self._enum_text(column, f"t.{column_name(column)}")
            return f"t.{casefolded_name(column) if is_casefolded(column) else column_name(column)}"
        end = _leaf_column(column)
        if end.name not in _stored_names(end.entity):
            return "NULL"
        if is_reference_id(column):
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
        """The sort key; empty if sorted only by Id."""
        column = order.column
        if column.name == "ToStringText":
            column = column.entity.meta().title_order
        if column.name == "Id" or isinstance(column.field, Collection | Object):
            return ""
        compared = self.compared_expression(_searched_column(column), joins)
        return "" if compared == "NULL" else compared

    def where(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        joins: Joins | None = None,
        replaced: Mapping[int, str] = MappingProxyType({}),
    ) -> Fragment:
        """The WHERE clause of all filters, empty without any; `replaced` are conditions by position."""
        others = has_selective_filter(entity, filters) or any(may_be_narrow(each) for each in filters)
        has_date = has_bounded_date(entity, filters)
        # An index of texts lists the rows of each by creation, so it serves a filter on that too. A location has more
        # rows than a day or week, which SQLite does not know.
        no_index = {
            number for number, each in enumerate(filters)
            if not may_be_narrow(each) and (
                ((others or (replaced and each.column.name != "CreatedOn")) and selects_many(entity, each.column))
                or (has_date and each.column.name == entity.scope)
            )
        }  # fmt: skip
        conditions = self.conditions(_of_joined_records(filters), joins or Joins(entity), no_index)
        conditions = [replaced.get(position, each) for position, each in enumerate(conditions)]
        text = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return Fragment(text, tuple(each for own in self.filter_parameters(filters) for each in own))

    def conditions(
        self, filters: Sequence[Filter], joins: Joins, no_index: AbstractSet[int] = frozenset()
    ) -> list[str]:
        """The condition of each filter; those at the positions `no_index` use no index."""
        return [
            self._condition(each, own, joins, no_index=position in no_index)
            for position, (each, own) in enumerate(zip(filters, self.filter_parameters(filters), strict=True))
        ]

    def _condition(
        self,
        filter_: Filter,
        parameters: Sequence[Parameter],
        joins: Joins,
        *,
        no_index: bool = False,
    ) -> str:
        column, comparison = filter_.column, filter_.comparison
        values = [str(each) for each in parameters]
        if isinstance(column.field, Collection):
            return self._membership_condition(filter_, values)
        compared = self.compared_expression(_searched_column(column), joins)
        if no_index and compared != "NULL":
            compared = self.dialect.no_index(compared)
        if filter_.custom_field is not None:
            name, value = values[0], values[1] if len(values) > 1 else ""
            exists = self.dialect.custom_field_condition(compared, name, value)
            return f"NOT {exists}" if comparison is Comparison.NULL else exists
        if compared == "NULL":
            return "1 = 1" if comparison is Comparison.NULL else "1 = 0"
        match comparison:
            case Comparison.NULL:
                return f"{compared} IS NULL"
            case Comparison.NOT_NULL:
                is_text = isinstance(column.field, Text | Guid)
                indexed = column.indexed and not column.as_text
                return self.dialect.has_value(compared, is_text=is_text) if indexed else f"{compared} IS NOT NULL"
            case Comparison.CONTAINS:
                return self.dialect.contains(compared, values[0])
            case Comparison.AT_LEAST:
                return f"{compared} >= {values[0]}"
            case Comparison.AT_MOST:
                return f"{compared} <= {values[0]}"
            case Comparison.BETWEEN:
                return f"({compared} >= {values[0]} AND {compared} < {values[1]})"
            case Comparison.ONE_OF | Comparison.LOCATION_OF:
                return self._in_condition(filter_, compared, values[0])
            case _:
                return f"{compared} = {values[0] if values else str(filter_.literal).upper()}"

    def _in_condition(self, filter_: Filter, compared: str, value: str) -> str:
        if filter_.comparison is Comparison.LOCATION_OF:
            return self.dialect.in_subquery(compared, owner_locations(self.dialect, value))
        element_type = self.dialect.column_types[type(filter_.column.field)].split()[0]
        return self.dialect.in_array(compared, value, element_type)

    def _membership_condition(self, filter_: Filter, values: Sequence[str]) -> str:
        """Whether the record has the member, or any member that satisfies the comparison."""
        table, owner, item = link_table(filter_.column.entity, filter_.column.leaf)
        exists = f"EXISTS (SELECT 1 FROM {table} AS l WHERE l.{owner} = t.id"
        match filter_.comparison:
            case Comparison.NULL:
                return f"NOT {exists})"
            case Comparison.NOT_NULL:
                return f"{exists})"
            case Comparison.OVERLAPS | Comparison.ONE_OF:
                return f"{exists} AND {self.dialect.in_array(f'l.{item}', values[0])})"
            case Comparison.AT_LEAST:
                return f"{exists} AND l.{item} >= {values[0]})"
            case Comparison.AT_MOST:
                return f"{exists} AND l.{item} <= {values[0]})"
            case Comparison.BETWEEN:
                return f"{exists} AND l.{item} >= {values[0]} AND l.{item} < {values[1]})"
            case _:
                return f"{exists} AND l.{item} = {values[0]})"

    def numbered_conditions(self, filters: Sequence[Filter], joins: Joins, first: int) -> list[Fragment]:
        """The condition of each filter with its parameters; the argument of the first one is number `first`."""
        parameters = [tuple(self._parameters(each, position)) for position, each in enumerate(filters, first)]
        return [Fragment(self._condition(each, own, joins), own) for each, own in zip(filters, parameters, strict=True)]

    def filter_parameters(self, filters: Sequence[Filter]) -> list[tuple[Parameter, ...]]:
        """The parameters of each filter; their arguments are the filters themselves."""
        return [tuple(self._parameters(each, position)) for position, each in enumerate(filters)]

    def _parameters(self, filter_: Filter, position: int) -> Iterator[Parameter]:
        name, column, comparison = f"filter_{position}", filter_.column, filter_.comparison
        has_value = comparison not in (Comparison.NULL, Comparison.NOT_NULL)
        if filter_.custom_field is not None:
            yield Parameter(f"{name}_field", position, lambda f: fold_case(f.custom_field))
            if has_value:
                yield Parameter(name, position, lambda f: fold_case(str(f.value)))
            return
        if not has_value or not _is_stored(column) or filter_.literal is not None:
            return
        encode = self._encoder(column)
        if comparison in (Comparison.ONE_OF, Comparison.OVERLAPS, Comparison.LOCATION_OF):
            array = self.dialect.array_parameter
            yield Parameter(name, position, lambda f: array([encode(value) for value in sorted(f.value)]))
        elif comparison is Comparison.BETWEEN:
            yield Parameter(f"{name}_from", position, lambda f: encode(f.value[0]))
            yield Parameter(f"{name}_until", position, lambda f: encode(f.value[1]))
        else:
            yield Parameter(name, position, lambda f: encode(f.value))

    def _encoder(self, column: Column) -> Encode:
        """The conversion of a filter's value to one that can be compared with the expression."""
        field, encode = column.field, self.dialect.encode
        if column.as_text:
            return lambda value: _member_text(value) if isinstance(value, str) else value
        if isinstance(field, Text | Guid):
            return lambda value: fold_case(value) if isinstance(value, str) else value
        return lambda value: encode(field, value)


def _member_text(name: str) -> str:
    """An enum member's name, casefolded and without the underscore that avoids Python keywords."""
    return fold_case(name).removesuffix("_")


def _reference_expression(column: Column, joins: Joins) -> str:
    """The foreign key itself: one join fewer, and SQLite may start from the related row."""
    return f"{joins.alias(column.path[:-1])}.{snake_case(column.path[-1] + 'Id')}"


def _is_stored(column: Column) -> bool:
    """Whether some table has the column."""
    if column.denormalized or isinstance(column.field, Collection):
        return True
    end = _leaf_column(column)
    return end.name in _stored_names(end.entity)


def _stored_names(entity: type[Entity]) -> frozenset[str]:
    """The names of the columns of a table; cached, because hashing a column is slow."""
    found = _STORED_NAMES.get(entity)
    if found is None:
        found = _STORED_NAMES[entity] = frozenset(column.name for column in entity.meta().stored_columns)
    return found


_STORED_NAMES: dict[type[Entity], frozenset[str]] = {}
