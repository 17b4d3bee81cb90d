"""Compiles queries to statements: composed once for each shape of a query, then bound to its values.

The text depends only on the compared and sorted columns, the comparisons, and the values of booleans, so that an
engine prepares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.storage.clauses import Joins
from creditdesk.storage.denormalization import stale_query
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import BoundStatement, Fragment, Parameter, Statement
from creditdesk.storage.naming import column_name, table_name
from creditdesk.storage.narrow_filters import NarrowSearch
from creditdesk.storage.page_builder import PageBuilder

MAX_CACHED_STATEMENTS: Final = 4096
"""The cache is emptied when it holds this many entries."""


class Statements(PageBuilder):
    """Every query of one dialect, with a cache of the statements."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._cache: dict[Any, Any] = {}

    def cached(self, key: Any, build: Callable[[], Any]) -> Any:
        """The cached value of this key; built if it is missing."""
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MAX_CACHED_STATEMENTS:
                self._cache.clear()
            found = self._cache[key] = build()
        return found

    def statement(self, key: Any, build: Callable[[], Statement]) -> Statement:
        """The cached statement of this key."""
        found: Statement = self._cache.get(key) or self.cached(key, build)
        return found

    def page(
        self, query: ListQuery, offset: int, size: int, *, use_counters: bool = False, by: int | None = None
    ) -> BoundStatement:
        """One statement for the total (first column) and `size` packed rows from `offset` on.

        With `use_counters` the first row is found by the row counters; the list must be seekable. With `by`
        the page is looked for among the rows of the filter at that position; the total is null if it has many.
        """
        filters, order = query.filters, query.order
        shape = (_filter_shape(filters), order.column.name, order.descending, size, offset > 0, use_counters, by)
        statement = self.statement(
            ("page", query.entity, *shape),
            lambda: self.page_statement(query, size, offset > 0, use_counters, by),
        )
        return statement.bind((*filters, offset))

    def narrow_search(self, query: ListQuery) -> NarrowSearch:
        """How to begin with a list whose filters may have few rows."""
        entity, filters = query.entity, query.filters
        found: NarrowSearch = self.cached(
            ("narrow search", entity, _filter_shape(filters)), lambda: self.build_narrow_search(entity, filters)
        )
        return found

    def count(self, entity: type[Entity], filters: Sequence[Filter]) -> BoundStatement:
        """How many records match."""

        def build() -> Statement:
            joins, text = Joins(entity), self._text_filter(entity, filters)
            if text and text.sample:
                # The ids of a text of many values are worth a list for the page alone.
                text = None
            where = self.where(entity, filters, joins, text.replaced(self.dialect) if text else {})
            total = f"SELECT count(*) FROM {table_name(entity)} AS t{joins.text}{where.text}"
            if text:
                total = f"WITH {text.cte} {total}"
            elif counted := self._counted_total(entity, filters):
                total = counted
            return Fragment(total, where.parameters).numbered(self.dialect)

        return self.statement(("count", entity, _filter_shape(filters)), build).bind(filters)

    def find(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        order: Order | None = None,
        *,
        limit: int | None = None,
        after_id: int | None = None,
        whole: bool = False,
        columns: tuple[str, ...] = (),
    ) -> BoundStatement:
        """Records without a total: the listed columns, the named ones, or `whole` records."""
        sort_key = (order.column.name, order.descending) if order else None
        after, limited = after_id is not None, limit is not None
        key = ("find", entity, _filter_shape(filters), sort_key, limited, after, whole, columns)

        def build() -> Statement:
            joins, count = Joins(entity), len(filters)
            where = self.where(entity, filters, joins)
            if after:
                where += Fragment(
                    f"{' AND ' if where.text else ' WHERE '}t.id > :after_id",
                    (Parameter("after_id", count),),
                )
            sort = self.sort_expression(order, joins) if order else ""
            direction, id_direction = self._direction(order)
            by = f"{sort} {direction}, " if sort else ""
            tail = Fragment(f" ORDER BY {by}t.id {id_direction}")
            if limited:
                tail += Fragment(" LIMIT :limit", (Parameter("limit", count + 1),))
            meta = entity.meta()
            chosen: Iterable[Column] = meta.columns.values() if whole else meta.list_columns
            select, decoder = self.select(_named(entity, columns) if columns else chosen, entity, where + tail, joins)
            return select.numbered(self.dialect, decoder)

        return self.statement(key, build).bind((*filters, after_id, limit))

    def latest(
        self,
        entity: type[Entity],
        names: tuple[str, ...],
        filters: Sequence[Filter],
        keep: Sequence[Filter],
        columns: tuple[str, ...],
    ) -> BoundStatement:
        """The record with the highest number (the last of `names`) of each group of records that match."""

        def build() -> Statement:
            *keys, highest = (column_name(column) for column in _named(entity, names))
            table, joins = table_name(entity), Joins(entity)
            newest = Fragment(f"SELECT {', '.join(keys)}, max({highest}) AS newest FROM {table} AS t")
            newest += self.where(entity, filters) + Fragment(f" GROUP BY {', '.join(keys)}")
            same = " AND ".join(f"t.{key} = g.{key}" for key in keys)
            kept = self.where(entity, (*filters, *keep), joins)
            expressions, decoder = self.select_expressions(_named(entity, columns), joins)
            select = Fragment(f"SELECT {', '.join(expressions)} FROM (") + newest
            select += Fragment(f") AS g JOIN {table} AS t ON {same} AND t.{highest} = g.newest{joins.text}")
            return (select + kept).numbered(self.dialect, decoder)

        key = ("latest", entity, names, _filter_shape(filters), _filter_shape(keep), columns)
        return self.statement(key, build).bind((*filters, *keep))

    def find_as_rows(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        columns: tuple[str, ...],
        first: int,
    ) -> BoundStatement:
        """As `find`, with each record as one value; `first` is the number of its first parameter."""

        def build() -> Statement:
            joins = Joins(entity)
            where = self.where(entity, filters, joins)
            chosen = _named(entity, columns) if columns else entity.meta().list_columns
            expressions, decoder = self.select_expressions(chosen, joins)
            select = f"SELECT ROW({', '.join(expressions)}) FROM {table_name(entity)} AS t"
            fragment = Fragment(select + joins.text) + where + Fragment(" ORDER BY t.id")
            return fragment.numbered(self.dialect, decoder, first=first)

        key = ("find as rows", entity, _filter_shape(filters), columns, first)
        return self.statement(key, build).bind(filters)

    def get(self, entity: type[Entity], record_id: int, filters: Sequence[Filter] = ()) -> BoundStatement:
        """The whole record of an id, if the filters match it."""
        key = ("get", entity, _filter_shape(filters)) if filters else ("get", entity)
        statement = self.statement(key, partial(self._get_statement, entity, filters))
        return statement.bind((record_id, *filters))

    def _get_statement(self, entity: type[Entity], filters: Sequence[Filter]) -> Statement:
        joins, columns = Joins(entity), entity.meta().columns
        where = self.where(entity, (Filter(columns["Id"], Comparison.EQUALS), *filters), joins)
        # The argument of the first parameter is the id itself, not a filter.
        own = where.parameters[0]
        parameters = (Parameter(own.name, own.argument), *where.parameters[1:])
        where = Fragment(where.text, parameters)
        select, decoder = self.select(columns.values(), entity, where, joins)
        return select.numbered(self.dialect, decoder)

    def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        skippable_ids: Sequence[int] = (),
        columns: tuple[str, ...] = (),
    ) -> BoundStatement:
        """Stored values, all or the named ones, of the records with these ids, locked in id order.

        Leaves out those of `skippable_ids` that another transaction has locked.
        """

        def build() -> Statement:
            stored = {column.name: column for column in entity.meta().stored_columns}
            chosen = [stored[name] for name in columns or stored]
            joins = Joins(entity)

            def select(parameter: Parameter, locking: str) -> Fragment:
                where = f" WHERE {self.dialect.in_array('t.id', str(parameter))} ORDER BY t.id"
                return self.select(chosen, entity, Fragment(where + locking, (parameter,)), joins)[0]

            fragment = select(Parameter("ids", 0), self.dialect.lock_clause())
            if skippable_ids:
                skipping = self.dialect.lock_clause(skip_locked=True)
                parts = (fragment, select(Parameter("skippable_ids", 1), skipping))
                fragment = Fragment.join(
                    " UNION ALL ",
                    (Fragment("SELECT * FROM (") + part + Fragment(") AS l") for part in parts),
                )
            return fragment.numbered(self.dialect, self.select_expressions(chosen, joins)[1])

        arrays = [self.dialect.array_parameter(each) for each in (ids, skippable_ids)]
        return self.statement(("lock", entity, columns, bool(skippable_ids)), build).bind(arrays)

    def select_records(self, entity: type[Entity], source: str) -> Statement:
        """The whole records of the rows that the CTE `source` holds."""

        def build() -> Statement:
            joins = Joins(entity)
            columns, decoder = self.select_expressions(entity.meta().columns.values(), joins)
            text = f"SELECT {', '.join(columns)} FROM {source} AS t{joins.text}"
            return Statement(text, (), decoder)

        return self.statement(("records", entity, source), build)

    def stale(self, entity: type[Entity], after_id: int, limit: int) -> BoundStatement:
        """The first records after an id with denormalized columns that differ from their source."""
        key = ("stale", entity)
        statement = self.statement(key, lambda: stale_query(entity, self.dialect).numbered(self.dialect))
        return statement.bind((after_id, limit))


def _named(entity: type[Entity], names: Sequence[str]) -> list[Column]:
    """The columns of these names, including those that only filters reach."""
    meta = entity.meta()
    return [meta.columns.get(name) or meta.filter_only[name] for name in names]


def _filter_shape(filters: Sequence[Filter]) -> tuple[Any, ...]:
    return tuple((f.column.name, f.comparison, f.custom_field is not None, f.literal) for f in filters)
