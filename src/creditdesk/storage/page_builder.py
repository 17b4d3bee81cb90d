"""The statement of a page: which rows match, in which order, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.storage.clauses import ClauseBuilder, Joins
from creditdesk.storage.counted_queries import counted_total, seek_plan, spans_locations
from creditdesk.storage.filtered_pages import (
    FilteredPage,
    PageOrder,
    filtered_page,
    is_location,
    is_walked,
    walk_bound,
)
from creditdesk.storage.fragments import Fragment, Parameter, Statement
from creditdesk.storage.naming import table_name
from creditdesk.storage.narrow_filters import (
    NarrowSearch,
    Probe,
    must_probe,
    narrow_page,
    narrow_positions,
    narrow_rows,
)
from creditdesk.storage.selectivity import has_own_index, has_selective_filter, is_named_date
from creditdesk.storage.text_filters import TextFilter, indexed_text_filter, searched_page


class PageBuilder(ClauseBuilder):
    """Composes the statements of pages in one dialect."""

    def page_statement(
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
        """A page among the rows of one filter."""
        entity, filters, joins = query.entity, query.filters, Joins(query.entity)
        order = self._page_order(query, joins, start, size)
        conditions = self.conditions(filters, joins, set(range(len(filters))))
        others = [each for position, each in enumerate(conditions) if position != by]
        matches = f"FROM {table_name(entity)} AS t{joins.text} WHERE {' AND '.join(others)}"
        return order, narrow_page(self._narrow_rows(entity, filters, by, "t.id AS id"), matches, order, self.dialect)

    def _filtered_page(self, query: ListQuery, size: int, start: str) -> tuple[PageOrder, FilteredPage]:
        """A page whose rows the engine finds by indexes, texts or the order of the list."""
        entity, filters = query.entity, query.filters
        table, joins = table_name(entity), Joins(entity)
        text = self._text_filter(entity, filters)
        if text and text.sample:
            return self._searched_page(query, size, start, text)
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
        if not order.key and (column := self._column_of_one_value(entity, filters)):
            order = replace(order, constant=self.compared_expression(column, joins))
        elif self._is_scattered(query, text):
            matches = f"FROM {table} AS t{joins.text}{where}"
            walk = self._walk(query, order) if is_walked(query.order.column) else ""
            counted = self._counted_total(entity, filters) or ""
            scattered = filtered_page(matches, walk, order, self.dialect, counted)
            return order, scattered._replace(ctes=ctes + scattered.ctes)
        if not order.key and spans_locations(entity, filters):
            where += self.dialect.id_order_hint
        return order, FilteredPage(ctes, self._ordered_rows(entity, joins, where, order), total)

    def _searched_page(
        self, query: ListQuery, size: int, start: str, text: TextFilter
    ) -> tuple[PageOrder, FilteredPage]:
        """A page of rows that hold a text of many values."""
        entity, filters, joins = query.entity, query.filters, Joins(query.entity)
        order = self._page_order(query, joins, start, size)
        plain = self.where(entity, filters, joins).text
        listed = self.where(entity, filters, joins, text.replaced(self.dialect)).text
        rows = f"FROM {table_name(entity)} AS t{joins.text}"
        return order, searched_page(text, f"{rows}{plain}", f"{rows}{listed}", order, self.dialect)

    def _ordered_rows(self, entity: type[Entity], joins: Joins, where: str, order: PageOrder) -> str:
        """The rows of a page, read in its order."""
        rows = f"FROM {table_name(entity)} AS t{joins.text}{where}"
        return f"SELECT {order.columns} {rows} {order.by_row} LIMIT {order.size}{order.skipped}"

    def _page_order(self, query: ListQuery, joins: Joins, start: str, size: int) -> PageOrder:
        direction, id_direction = self._direction(query.order)
        key = self.sort_expression(query.order, joins)
        return PageOrder(key, direction, id_direction, size, start)

    def _column_of_one_value(self, entity: type[Entity], filters: Sequence[Filter]) -> Column | None:
        """The column of the only filter, if that selects one value by an index, which lists its rows by Id."""
        if len(filters) != 1 or self._counted_total(entity, filters):
            return None
        [only] = filters
        is_value = only.comparison in (Comparison.EQUALS, Comparison.NULL)
        return only.column if is_value and has_own_index(only.column) else None

    def _is_scattered(self, query: ListQuery, text: TextFilter | None) -> bool:
        """Whether filters have indexes of their own, which do not hold the rows in the order of the list."""
        entity, filters, order = query.entity, query.filters, query.order.column
        if self._counted_total(entity, filters):
            # Ids follow the time of creation, so the latest rows come last of all that an index of ids lists.
            return order.name == "Id" and any(each.column.name == "CreatedOn" for each in filters)
        has_date = any(is_named_date(each) and each.column.name != order.name for each in filters)
        if not is_walked(order):
            return has_date or (text is not None and not text.is_own)
        if text is not None or has_date:
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
        # Of two lower bounds of a column SQLite reads the index from the one that comes first.
        return f"FROM {table_name(entity)} AS t{joins.text} WHERE {' AND '.join((bound, *conditions))}"

    def _direction(self, order: Order | None) -> tuple[str, str]:
        """The direction of the sort key, in which nulls are smallest, and that of Id."""
        if order and order.descending:
            return f"DESC{self.dialect.nulls_last}", "DESC"
        return f"ASC{self.dialect.nulls_first}", "ASC"

    def build_narrow_search(self, entity: type[Entity], filters: Sequence[Filter]) -> NarrowSearch:
        positions = narrow_positions(entity, filters)
        if not positions or not must_probe(entity, filters, positions):
            return NarrowSearch(by=positions[0] if positions else None)
        rows = (self._narrow_rows(entity, filters, position, "1") for position in positions)
        counts = ", ".join(f"(SELECT count(*) FROM ({each}) AS probed)" for each in rows)
        parameters = tuple(each for own in self.filter_parameters(filters) for each in own)
        return NarrowSearch(Probe(positions, Fragment(f"SELECT {counts}", parameters).numbered(self.dialect)))

    def _narrow_rows(self, entity: type[Entity], filters: Sequence[Filter], position: int, columns: str) -> str:
        """SQL for the rows of the filter at a position."""
        condition = self.conditions(filters, Joins(entity))[position]
        return narrow_rows(entity, filters[position], condition, columns, self.dialect.nulls_first)

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
