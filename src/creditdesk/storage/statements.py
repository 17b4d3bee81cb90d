"""Listing -> statement: SQL text for each shape of question, written once and kept.

A statement's text depends only on which columns are tested and sorted and how, never on values,
so that an engine prepares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.kinds import Boolean, Collection, Enum, Guid, Object, Reference, Text, fold
from creditdesk.schema.listing import Filter, Listing, Order, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import (
    column_name,
    folded_name,
    is_folded,
    link_table,
    snake,
    table_name,
)
from creditdesk.storage.totals import seek, tallied_total

Decode = Callable[[Any], Any]
MOST_TEXTS: Final = 4096
"""How many statement texts are kept before all are written anew."""


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


class _Joins:
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


def _end(column: Column) -> Column:
    """The stored column at the end of a lent column's path."""
    if column.own:
        return column
    entity = column.entity
    for step in column.path:
        entity = _target(entity, step)
    return entity.shape().columns[column.leaf]


class Statements:
    """Every statement of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._texts: dict[Any, Any] = {}

    def once(self, key: Any, write: Callable[[], Any]) -> Any:
        """What was written for this shape before, or what is written now."""
        found = self._texts.get(key)
        if found is None:
            if len(self._texts) >= MOST_TEXTS:
                self._texts.clear()
            found = self._texts[key] = write()
        return found

    # What is asked ---------------------------------------------------------------------------

    def page(
        self, listing: Listing, offset: int, size: int, *, seeking: bool = False
    ) -> tuple[str, list[Any], Reads]:
        """One statement that answers the total (first column) and `size` rows from `offset`; with
        `seeking` the tally tells where to begin, for which the listing must be seekable.
        """
        entity, filters, order = listing.entity, listing.filters, listing.order
        started = offset > 0
        sort = (order.column.name, order.descending)
        key = ("page", entity, _shape(filters), sort, size, started, seeking)
        text, reads = self.once(
            key, lambda: self._write_page(entity, filters, order, size, started, seeking)
        )
        values = self.values(filters)
        return text, [*values, offset] if started else values, reads

    def _write_page(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        order: Order,
        size: int,
        started: bool,
        seeking: bool,
    ) -> tuple[str, Reads]:
        # The size stands in the text: a planner that does not know it would sort the whole table
        # rather than walk an index for its first rows.
        table = table_name(entity)
        _, counted, used = self._where(entity, filters)
        joins = _Joins(entity)
        where, _, _ = self._where(entity, filters, joins)
        sort = self._sort(order, joins)
        direction = "DESC" + self.dialect.nulls_last if order.descending else (
            "ASC" + self.dialect.nulls_first
        )  # fmt: skip
        ids = "DESC" if order.descending else "ASC"
        key = f"{sort} AS k, " if sort else ""
        inner = f"{sort} {direction}, t.id {ids}" if sort else f"t.id {ids}"
        before, offset = "", self.dialect.mark(used + 1)
        if seeking:
            before, where, offset, total = seek(entity, filters, order, offset, self.dialect)
        else:
            total = self._total(entity, filters) or (
                f"SELECT count(*) FROM {table} AS t{counted}{where}"
            )
        skipped = f" OFFSET {offset}" if started else ""
        shown = _Joins(entity)
        columns, reads = self._select(entity.shape().listed, shown)
        outer = f"page.k {direction}, page.id {ids}" if sort else f"page.id {ids}"
        return (
            f"WITH {before}page AS (SELECT {key}t.id AS id FROM {table} AS t{joins.text}{where} "
            f"ORDER BY {inner} LIMIT {size}{skipped}) "
            f"SELECT ({total}), {columns} "
            f"FROM (SELECT 1) AS one LEFT JOIN page ON 1 = 1 "
            f"LEFT JOIN {table} AS t ON t.id = page.id{shown.text} ORDER BY {outer}"
        ), reads

    def count(self, entity: type[Entity], filters: Sequence[Filter]) -> tuple[str, list[Any]]:
        """How many records match."""

        def write() -> str:
            where, joins, _ = self._where(entity, filters)
            tallied = self._total(entity, filters)
            return tallied or f"SELECT count(*) FROM {table_name(entity)} AS t{joins}{where}"

        return self.once(("count", entity, _shape(filters)), write), self.values(filters)

    def _total(self, entity: type[Entity], filters: Sequence[Filter]) -> str | None:
        """How many match, where that need not be counted row by row."""
        return tallied_total(entity, filters, self.dialect)

    def find(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        order: Order | None,
        *,
        limited: bool,
        after: bool,
        whole: bool = False,
        names: tuple[str, ...] = (),
    ) -> tuple[str, list[Any], Reads]:
        """Rows in column order, without a total; `whole` adds the collections, `names` chooses."""
        sort_key = (order.column.name, order.descending) if order else None
        key = ("find", entity, _shape(filters), sort_key, limited, after, whole, names)

        def write() -> tuple[str, Reads]:
            joins = _Joins(entity)
            where, _, used = self._where(entity, filters, joins)
            if after:
                used += 1
                where += (" AND " if where else " WHERE ") + f"t.id > {self.dialect.mark(used)}"
            sort = self._sort(order, joins) if order else ""
            down = bool(order and order.descending)
            direction = "DESC" + self.dialect.nulls_last if down else (
                "ASC" + self.dialect.nulls_first
            )  # fmt: skip
            by = (f"{sort} {direction}, " if sort else "") + f"t.id {'DESC' if down else 'ASC'}"
            shape = entity.shape()
            chosen: Iterable[Column] = shape.columns.values() if whole else shape.listed
            if names:
                chosen = [shape.columns.get(name) or shape.filter_only[name] for name in names]
            columns, reads = self._select(chosen, joins)
            limit = f" LIMIT {self.dialect.mark(used + 1)}" if limited else ""
            return (
                f"SELECT {columns} FROM {table_name(entity)} AS t{joins.text}{where} "
                f"ORDER BY {by}{limit}"
            ), reads

        text, reads = self.once(key, write)
        return text, self.values(filters), reads

    def lock(self, entity: type[Entity], names: tuple[str, ...] = ()) -> tuple[str, Reads]:
        """Own stored values, all or those of `names`, for a list of ids, locked in id order."""

        def write() -> tuple[str, Reads]:
            stored = {column.name: column for column in entity.shape().stored}
            chosen = [stored[name] for name in names or stored]
            columns, reads = self._select(chosen, _Joins(entity))
            within = self.dialect.within("t.id", self.dialect.mark(1))
            return (
                f"SELECT {columns} FROM {table_name(entity)} AS t WHERE {within} "
                f"ORDER BY t.id{self.dialect.locking()}"
            ), reads

        found: tuple[str, Reads] = self.once(("lock", entity, names), write)
        return found

    def whole(self, entity: type[Entity], source: str) -> tuple[str, Reads]:
        """The whole records of the rows that `source` holds in place of the entity's table."""

        def write() -> tuple[str, Reads]:
            joins = _Joins(entity)
            columns, reads = self._select(tuple(entity.shape().columns.values()), joins)
            return f"SELECT {columns} FROM {source} AS t{joins.text}", reads

        found: tuple[str, Reads] = self.once(("whole", entity, source), write)
        return found

    # How it is said --------------------------------------------------------------------------

    def _select(self, columns: Iterable[Column], joins: _Joins) -> tuple[str, Reads]:
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
        return ", ".join(parts), Reads(tuple(decodes), tuple(lists), len(parts))

    def raw(self, column: Column, joins: _Joins) -> str:
        """The stored value of a column; NULL for what no table holds."""
        end = _end(column)
        if end.name not in _stored(end.entity):
            return "NULL"
        if _is_link(column):
            return _link(column, joins)
        return f"{joins.alias(column.path)}.{column_name(end)}"

    def _compared(self, column: Column, joins: _Joins) -> str:
        """What filters and sorts read: text without case, everything else as stored."""
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

    def _sort(self, order: Order, joins: _Joins) -> str:
        """The sort key, or nothing where Id alone decides."""
        column = order.column
        if column.name == "ToStringText" and column.entity.label:
            column = column.entity.shape().columns[column.entity.label]
        if column.name in ("Id", "ToStringText") or isinstance(column.kind, Collection | Object):
            return ""
        compared = self._compared(column, joins)
        return "" if compared == "NULL" else compared

    def _where(
        self, entity: type[Entity], filters: Sequence[Filter], joins: _Joins | None = None
    ) -> tuple[str, str, int]:
        joins = joins or _Joins(entity)
        used = 0
        tests: list[str] = []
        for each in filters:
            text, taken = self._test(each, joins, used)
            tests.append(text)
            used += taken
        return (" WHERE " + " AND ".join(tests) if tests else ""), joins.text, used

    def _test(self, each: Filter, joins: _Joins, used: int) -> tuple[str, int]:
        column, test = each.column, each.test
        mark = self.dialect.mark(used + 1)
        if isinstance(column.kind, Collection):
            return self._member_test(each, mark)
        compared = self._compared(column, joins)
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


def _link(column: Column, joins: _Joins) -> str:
    """One join fewer, and SQLite may begin at the related row, as no outer join is in its way."""
    return f"{joins.alias(column.path[:-1])}.{snake(column.path[-1] + 'Id')}"


def _kept(column: Column) -> bool:
    """Whether any table holds what the column shows."""
    if isinstance(column.kind, Collection):
        return True
    end = _end(column)
    return end.name in _stored(end.entity)


def _stored(entity: type[Entity]) -> frozenset[str]:
    """The names of the columns a table holds; worked out once, as hashing a column is slow."""
    found = _STORED.get(entity)
    if found is None:
        found = _STORED[entity] = frozenset(column.name for column in entity.shape().stored)
    return found


_STORED: dict[type[Entity], frozenset[str]] = {}


def _shape(filters: Sequence[Filter]) -> tuple[Any, ...]:
    return tuple((f.column.name, f.test, f.name is not None) for f in filters)
