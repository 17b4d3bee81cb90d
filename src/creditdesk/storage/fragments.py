"""How columns, filters and sorts are said in SQL, over the relations that a statement walks.

Writes parts of statements from declared names and placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Enum,
    Guid,
    Integer,
    Object,
    Reference,
    Text,
    fold,
)
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import (
    column_name,
    folded_name,
    is_folded,
    link_table,
    snake,
    table_name,
)

Decode = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Reads:
    """How the columns of a statement's rows become inner values, by position.

    `lists` are read even where the engine answers null, as it does for an empty collection.
    """

    positions: tuple[tuple[int, Decode], ...]
    lists: tuple[tuple[int, Decode], ...]
    width: int

    def row(self, values: Sequence[Any], skip: int = 0) -> list[Any]:
        row = list(values[skip : skip + self.width])
        for position, decode in self.positions:
            value = row[position]
            if value is not None:
                row[position] = decode(value)
        for position, decode in self.lists:
            row[position] = decode(row[position])
        return row

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """The same of many rows, given column by column; for statements that read no lists."""
        if not rows:
            return [()] * self.width
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        for position, decode in self.positions:
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
            source = _target(source, step)
        target = _target(source, path[-1])
        alias = f"j{len(self.aliases)}"
        self.aliases[path] = alias
        self.clauses.append(
            f" LEFT JOIN {table_name(target)} AS {alias} "
            f"ON {alias}.id = {before}.{snake(path[-1] + 'Id')}"
        )
        return alias

    @property
    def text(self) -> str:
        return "".join(self.clauses)


def _target(entity: type[Entity], relation: str) -> type[Entity]:
    field = entity.fields[relation]
    assert isinstance(field, Reference)
    return entity_named(field.to)


def _is_narrow(column: Column) -> bool:
    """Whether few rows have any one value of a column: an index finds them best."""
    is_id = column.name == "Id" or isinstance(column.kind, Reference)
    return is_id or (column.indexed and isinstance(column.kind, Integer))


def _end(column: Column) -> Column:
    """The stored column at the end of a lent column's path."""
    if column.own:
        return column
    entity = column.entity
    for step in column.path:
        entity = _target(entity, step)
    return entity.shape().columns[column.leaf]


class Terms:
    """The parts of statements, in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def select(self, columns: Iterable[Column], joins: Joins) -> tuple[str, Reads]:
        parts, reads = self.shown(columns, joins)
        return ", ".join(parts), reads

    def shown(self, columns: Iterable[Column], joins: Joins) -> tuple[list[str], Reads]:
        """The stored values of columns one by one, and how they become inner values."""
        parts: list[str] = []
        decodes: list[tuple[int, Decode]] = []
        lists: list[tuple[int, Decode]] = []
        for position, column in enumerate(columns):
            if isinstance(column.kind, Collection):
                table, owner, item = link_table(column.entity, column.leaf)
                parts.append(self.dialect.items(table, owner, item, "t.id"))
                lists.append((position, self.dialect.read_items))
                continue
            parts.append(self.raw(column, joins))
            decode = self.dialect.reader(column.kind)
            if decode is not None:
                decodes.append((position, decode))
        return parts, Reads(tuple(decodes), tuple(lists), len(parts))

    def raw(self, column: Column, joins: Joins) -> str:
        """The stored value of a column; NULL for what no table holds."""
        if column.copied:
            return f"t.{column_name(column)}"
        end = _end(column)
        if end.name not in _stored(end.entity):
            return "NULL"
        if _is_link(column):
            return _link(column, joins)
        return f"{joins.alias(column.path)}.{column_name(end)}"

    def compared(self, column: Column, joins: Joins) -> str:
        """What filters and sorts read: text without case, everything else as stored."""
        if column.copied:
            if column.as_text:
                return self._shown_text(column, f"t.{column_name(column)}")
            return f"t.{folded_name(column) if is_folded(column) else column_name(column)}"
        end = _end(column)
        if end.name not in _stored(end.entity):
            return "NULL"
        if _is_link(column):
            return _link(column, joins)
        alias = joins.alias(column.path)
        if column.as_text:
            return self._shown_text(column, f"{alias}.{column_name(end)}")
        if is_folded(end):
            return f"{alias}.{folded_name(end)}"
        return f"{alias}.{column_name(end)}"

    @staticmethod
    def _shown_text(column: Column, stored: str) -> str:
        if isinstance(column.kind, Boolean):
            return f"CASE WHEN {stored} THEN 'true' WHEN NOT {stored} THEN 'false' END"
        assert isinstance(column.kind, Enum)
        cases = " ".join(f"WHEN {int(m)} THEN '{_word(m.name)}'" for m in column.kind.of)
        return f"CASE {stored} {cases} END"

    def sort(self, order: Order, joins: Joins) -> str:
        """The sort key, or nothing where Id alone decides."""
        column = order.column
        if column.name == "ToStringText" and column.entity.label:
            column = column.entity.shape().columns[column.entity.label]
        if column.name in ("Id", "ToStringText") or isinstance(column.kind, Collection | Object):
            return ""
        compared = self.compared(column, joins)
        return "" if compared == "NULL" else compared

    def where(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        joins: Joins | None = None,
        used: int = 0,
    ) -> tuple[str, str, int]:
        """The tests, the joins, and how many parameters are used, of which so many come before."""
        joins = joins or Joins(entity)
        tests: list[str] = []
        # Of what is tallied each location has an index along creation, but many rows.
        scope = entity.scope if entity.tallied else None
        narrow = any(
            each.test is Test.IS and each.column.name != scope and _is_narrow(each.column)
            for each in filters
        )
        for each in filters:
            aside = narrow and each.column.name == scope
            text, taken = self._test(each, joins, used, aside=aside)
            tests.append(text)
            used += taken
        return (" WHERE " + " AND ".join(tests) if tests else ""), joins.text, used

    def _test(
        self, each: Filter, joins: Joins, used: int, *, aside: bool = False
    ) -> tuple[str, int]:
        column, test = each.column, each.test
        mark = self.dialect.mark(used + 1)
        if isinstance(column.kind, Collection):
            return self._member_test(each, mark)
        compared = self.compared(column, joins)
        if aside:
            compared = self.dialect.aside(compared)
        if each.name is not None:
            if test in (Test.NULL, Test.NOT_NULL):
                there = self.dialect.custom_field(compared, mark, "")
                return (there if test is Test.NOT_NULL else f"NOT {there}"), 1
            return self.dialect.custom_field(compared, mark, self.dialect.mark(used + 2)), 2
        if compared == "NULL":
            return ("1 = 1" if test is Test.NULL else "1 = 0"), 0
        match test:
            case Test.NULL:
                return f"{compared} IS NULL", 0
            case Test.NOT_NULL:
                return f"{compared} IS NOT NULL", 0
            case Test.CONTAINS:
                return self.dialect.contains(compared, mark), 1
            case Test.AT_LEAST:
                return f"{compared} >= {mark}", 1
            case Test.AT_MOST:
                return f"{compared} <= {mark}", 1
            case Test.SPAN:
                return f"({compared} >= {mark} AND {compared} < {self.dialect.mark(used + 2)})", 2
            case Test.ONE_OF:
                kind = self.dialect.types[type(column.kind)].split()[0]
                return self.dialect.within(compared, mark, kind), 1
            case _:
                return f"{compared} = {mark}", 1

    def _member_test(self, each: Filter, mark: str) -> tuple[str, int]:
        table, owner, item = link_table(each.column.entity, each.column.leaf)
        there = f"EXISTS (SELECT 1 FROM {table} AS l WHERE l.{owner} = t.id"
        match each.test:
            case Test.NULL:
                return f"NOT {there})", 0
            case Test.NOT_NULL:
                return f"{there})", 0
            case Test.OVERLAPS | Test.ONE_OF:
                return f"{there} AND {self.dialect.within(f'l.{item}', mark)})", 1
            case _:
                return f"{there} AND l.{item} = {mark})", 1

    def values(self, filters: Sequence[Filter]) -> list[Any]:
        """The parameters of these filters, in the order their tests name them."""
        values: list[Any] = []
        for each in filters:
            empty = each.test in (Test.NULL, Test.NOT_NULL)
            if each.name is not None:
                values += [fold(each.name)] if empty else [fold(each.name), fold(str(each.value))]
            elif empty or not _kept(each.column):
                continue
            elif each.test in (Test.ONE_OF, Test.OVERLAPS):
                listed = [self._value(each.column, value) for value in sorted(each.value)]
                values.append(self.dialect.ids(listed))
            elif each.test is Test.SPAN:
                values += [self._value(each.column, value) for value in each.value]
            else:
                values.append(self._value(each.column, each.value))
        return values

    def _value(self, column: Column, value: Any) -> Any:
        if column.as_text and isinstance(value, str):
            return _word(value)
        if isinstance(value, str) and isinstance(column.kind, Text | Guid):
            return fold(value)
        return value if column.as_text else self.dialect.write(column.kind, value)


def _word(name: str) -> str:
    """An enum member's name without case, and without what keeps it off Python's own words."""
    return fold(name).removesuffix("_")


def _is_link(column: Column) -> bool:
    """Whether it is the Id of a related record, which the row before it already holds."""
    return bool(column.path) and column.leaf == "Id"


def _link(column: Column, joins: Joins) -> str:
    """One join fewer, and SQLite may begin at the related row, as no outer join is in its way."""
    return f"{joins.alias(column.path[:-1])}.{snake(column.path[-1] + 'Id')}"


def _kept(column: Column) -> bool:
    """Whether any table holds what the column shows."""
    if column.copied or isinstance(column.kind, Collection):
        return True
    end = _end(column)
    return end.name in _stored(end.entity)


def _stored(entity: type[Entity]) -> frozenset[str]:
    """The names of the columns a table holds; worked out once, as hashing a column is slow."""
    found = STORED.get(entity)
    if found is None:
        found = STORED[entity] = frozenset(column.name for column in entity.shape().stored)
    return found


STORED: dict[type[Entity], frozenset[str]] = {}
