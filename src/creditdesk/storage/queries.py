"""Queries as statements: composed once for each shape of a query, then bound to its values.

The text depends only on which columns are compared and sorted and how, never on values, so that an
engine prepares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.storage.clauses import ClauseBuilder, Joins, has_indexed_date, has_selective_filter
from creditdesk.storage.counted_queries import counted_total, seek_plan, spans_locations
from creditdesk.storage.denormalization import stale_query
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.filtered_pages import (
    FilteredPage,
    PageOrder,
    filtered_page,
    is_location,
    is_walked,
    narrow_page,
    walk_bound,
)
from creditdesk.storage.fragments import BoundStatement, Fragment, Parameter, Statement
from creditdesk.storage.naming import column_name, table_name
from creditdesk.storage.narrow_filters import Probe, probe_query, probed_filters
from creditdesk.storage.text_filters import TextFilter, indexed_text_filter

MAX_CACHED_STATEMENTS: Final = 4096
"""The cache is emptied when it holds this many entries."""


class Statements(ClauseBuilder):
    """Every query of one dialect, with a cache of the statements."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._cache: dict[Any, Any] = {}

    def cached(self, key: Any, build: Callable[[], Any]) -> Any:
        """What was built for this key before, or is built now."""
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MAX_CACHED_STATEMENTS:
                self._cache.clear()
            found = self._cache[key] = build()
        return found

    def statement(self, key: Any, build: Callable[[], Statement]) -> Statement:
        """The cached statement of this key."""
        found: Statement = self.cached(key, build)
        return found

    def page(
        self, query: ListQuery, offset: int, size: int, *, use_counters: bool = False, by: int | None = None
    ) -> BoundStatement:
        """One statement for the total (first column) and `size` packed rows from `offset` on.

        With `use_counters` the first row is found by the row counters; the list must be seekable. With `by`
        the rows are found by the filter at that position, which a probe found to have few.
        """
        filters, order = query.filters, query.order
        sort = (order.column.name, order.descending)
        shape = (_filter_shape(filters), sort, size, offset > 0, use_counters, by)
        statement = self.statement(
            ("page", query.entity, *shape),
            lambda: self._page_statement(query, size, offset > 0, use_counters, by),
        )
        return statement.bind((*filters, offset))

    def probe(self, query: ListQuery) -> Probe | None:
        """The statement that shows by which filter to find a list; None where the query alone shows it."""
        entity, filters = query.entity, query.filters
        probes: tuple[Probe, ...] = self.cached(
            ("probe", entity, _filter_shape(filters)), lambda: tuple(self._probes(entity, filters))
        )
        return probes[0] if probes else None

    def _probes(self, entity: type[Entity], filters: Sequence[Filter]) -> Iterator[Probe]:
        has_counted_total = self._counted_total(entity, filters) is not None
        positions = probed_filters(entity, filters, has_counted_total=has_counted_total)
        if positions:
            conditions, table = self.conditions(filters, Joins(entity)), table_name(entity)
            counts = ", ".join(
                probe_query(entity, table, filters[each], conditions[each], self.dialect.nulls_first)
                for each in positions
            )
            parameters = tuple(each for own in self.filter_parameters(filters) for each in own)
            yield Probe(positions, Fragment(f"SELECT {counts}", parameters).numbered(self.dialect))

    def _page_statement(
        self, query: ListQuery, size: int, has_offset: bool, use_counters: bool, by: int | None
    ) -> Statement:
        # The size is part of the text: a planner that does not know it would sort the whole table
        # rather than read the first rows of an index.
        entity, filters = query.entity, query.filters
        table, offset = table_name(entity), Parameter("offset", len(filters))
        start = str(offset) if has_offset else ""
        if use_counters:
            order, found = self._counted_page(query, size, offset, has_offset=has_offset)
        elif by is not None:
            order, found = self._narrow_page(query, size, start, by)
        else:
            order, found = self._filtered_page(query, size, start)
        outer_joins = Joins(entity)
        columns, decoder = self.select_expressions(entity.meta().list_columns, outer_joins)
        order_by = f"page.k {order.direction}, " if order.key else ""
        statement = (
            f"WITH {found.ctes}page AS ({found.page}) "
            f"SELECT ({found.total}), {self.row_expressions(columns)} "
            f"FROM (SELECT 1) AS one LEFT JOIN page ON 1 = 1 "
            f"LEFT JOIN {table} AS t ON t.id = page.id{outer_joins.text} ORDER BY {order_by}page.id {order.id_direction}"
        )
        parameters = tuple(each for own in self.filter_parameters(filters) for each in own)
        return Fragment(statement, (*parameters, offset)).numbered(self.dialect, decoder)

    def _counted_page(
        self, query: ListQuery, size: int, offset: Parameter, *, has_offset: bool
    ) -> tuple[PageOrder, FilteredPage]:
        """A page that the row counters find."""
        entity, filters, joins = query.entity, query.filters, Joins(query.entity)
        parameters = self.filter_parameters(filters)
        ctes, where, start, total = seek_plan(entity, filters, query.order, parameters, offset, self.dialect)
        order = self._page_order(query, joins, start if has_offset else "", size)
        return order, FilteredPage(ctes, self._ordered_rows(entity, joins, where, order), total)

    def _narrow_page(self, query: ListQuery, size: int, start: str, by: int) -> tuple[PageOrder, FilteredPage]:
        """A page whose rows the index of one filter finds."""
        filters, joins = query.filters, Joins(query.entity)
        order = self._page_order(query, joins, start, size)
        conditions = self.conditions(filters, joins, set(range(len(filters))) - {by})
        matches = f"FROM {table_name(query.entity)} AS t{joins.text} WHERE {' AND '.join(conditions)}"
        return order, narrow_page(matches, order)

    def _filtered_page(self, query: ListQuery, size: int, start: str) -> tuple[PageOrder, FilteredPage]:
        """A page whose rows the engine finds by indexes, texts or the order of the list."""
        entity, filters = query.entity, query.filters
        table, joins = table_name(entity), Joins(entity)
        text = self._text_filter(entity, filters)
        where = self.where(entity, filters, joins, text.replaced(self.dialect) if text else {}).text
        total = self._counted_total(entity, filters) or f"SELECT count(*) FROM {table} AS t{joins.text}{where}"
        ctes = f"{text.cte}, " if text else ""
        order = self._page_order(query, joins, start, size)
        if text and order.key in text.sorts and not start:
            of_text = self.where(entity, filters, Joins(entity), {text.position: f"{text.column} = matching.value"})
            each = self._ordered_rows(entity, joins, of_text.text, order)
            found = self.dialect.rows_of_each("matching", ("k", "id") if order.key else ("id",), each)
            page = f"SELECT * FROM ({found}) AS found {order.by_key} LIMIT {size}"
            return order, FilteredPage(ctes, page, total)
        if self._is_scattered(query, text):
            matches = f"FROM {table} AS t{joins.text}{where}"
            walk = self._walk(query, order) if is_walked(query.order.column) else ""
            scattered = filtered_page(matches, walk, order, f"{table} AS t{joins.text}", self.dialect)
            return order, scattered._replace(ctes=ctes + scattered.ctes)
        if not order.key and spans_locations(entity, filters):
            where += self.dialect.id_order_hint
        return order, FilteredPage(ctes, self._ordered_rows(entity, joins, where, order), total)

    def _ordered_rows(self, entity: type[Entity], joins: Joins, where: str, order: PageOrder) -> str:
        """The rows of a page, read in its order."""
        rows = f"FROM {table_name(entity)} AS t{joins.text}{where}"
        return f"SELECT {order.columns} {rows} {order.by_row} LIMIT {order.size}{order.skipped}"

    def _page_order(self, query: ListQuery, joins: Joins, start: str, size: int) -> PageOrder:
        direction, id_direction = self._direction(query.order)
        key = self.sort_expression(query.order, joins)
        return PageOrder(key, direction, id_direction, size, start)

    def _is_scattered(self, query: ListQuery, text: TextFilter | None) -> bool:
        """Whether filters have indexes of their own, which do not hold the rows in the order of the list."""
        entity, filters, order = query.entity, query.filters, query.order.column
        if self._counted_total(entity, filters):
            return False
        if not is_walked(order):
            return has_indexed_date(filters) or (text is not None and not text.is_own)
        if text is not None or has_indexed_date(filters):
            return True
        return not has_selective_filter(entity, filters) and any(
            each.column.indexed and each.column.name != order.name and each.comparison is not Comparison.CONTAINS
            for each in filters
        )

    def _walk(self, query: ListQuery, order: PageOrder) -> str:
        """FROM and WHERE of the matches among the first rows in the order of a list."""
        entity, filters, joins = query.entity, query.filters, Joins(query.entity)
        bound = walk_bound(entity, filters, self.conditions(filters, joins), query.order, order)
        others = {
            position for position, each in enumerate(filters)
            if each.column.name != query.order.column.name and not is_location(entity, each)
        }  # fmt: skip
        conditions = self.conditions(filters, joins, others)
        return f"FROM {table_name(entity)} AS t{joins.text} WHERE {' AND '.join((*conditions, bound))}"

    def _direction(self, order: Order | None) -> tuple[str, str]:
        """The direction of the sort key, in which nulls are smallest, and that of Id."""
        if order and order.descending:
            return f"DESC{self.dialect.nulls_last}", "DESC"
        return f"ASC{self.dialect.nulls_first}", "ASC"

    def count(self, entity: type[Entity], filters: Sequence[Filter]) -> BoundStatement:
        """How many records match."""

        def build() -> Statement:
            joins, text = Joins(entity), self._text_filter(entity, filters)
            where = self.where(entity, filters, joins, text.replaced(self.dialect) if text else {})
            total = f"SELECT count(*) FROM {table_name(entity)} AS t{joins.text}{where.text}"
            if text:
                total = f"WITH {text.cte} {total}"
            elif counted := self._counted_total(entity, filters):
                total = counted
            return Fragment(total, where.parameters).numbered(self.dialect)

        return self.statement(("count", entity, _filter_shape(filters)), build).bind(filters)

    def row_expressions(self, columns: Sequence[str]) -> str:
        """What a page selects of each row."""
        return self.dialect.pack_row(columns)

    def _text_filter(self, entity: type[Entity], filters: Sequence[Filter]) -> TextFilter | None:
        """The substring filter to find rows by; None where there is none, or another finds fewer."""
        if has_selective_filter(entity, filters):
            return None
        placeholders = [str(own[0]) if own else "" for own in self.filter_parameters(filters)]
        return indexed_text_filter(filters, placeholders, self.dialect)

    def _counted_total(self, entity: type[Entity], filters: Sequence[Filter]) -> str | None:
        """SQL for how many match, from the row counters; None where rows must be counted."""
        return counted_total(entity, filters, self.filter_parameters(filters), self.dialect)

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
        """Of each group of the records that match, the one with the highest number, the last of `names`."""

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

        def build() -> Statement:
            joins, columns = Joins(entity), entity.meta().columns
            where = self.where(entity, (Filter(columns["Id"], Comparison.EQUALS), *filters), joins)
            # The argument of the first parameter is the id itself, not a filter.
            own = where.parameters[0]
            parameters = (Parameter(own.name, own.argument), *where.parameters[1:])
            where = Fragment(where.text, parameters)
            select, decoder = self.select(columns.values(), entity, where, joins)
            return select.numbered(self.dialect, decoder)

        key = ("get", entity, _filter_shape(filters)) if filters else ("get", entity)
        return self.statement(key, build).bind((record_id, *filters))

    def lock(
        self,
        entity: type[Entity],
        ids: Sequence[int],
        skippable_ids: Sequence[int] = (),
        columns: tuple[str, ...] = (),
    ) -> BoundStatement:
        """Stored values, all or the named ones, of the records with these ids, locked in id order.

        Of `skippable_ids` those that another transaction has locked are left out.
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
    return tuple((f.column.name, f.comparison, f.custom_field is not None) for f in filters)
