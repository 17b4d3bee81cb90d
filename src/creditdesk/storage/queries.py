"""Listing -> statement: SQL text for each shape of question, written once and kept.

A statement's text depends only on which columns are tested and sorted and how, never on values,
so that an engine prepares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.storage.counted_queries import counted_total, seek_plan, spans_locations
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import ClauseBuilder, Joins, RowDecoder
from creditdesk.storage.naming import table_name
from creditdesk.storage.text_search import SubstringMatch, substring_filter, substring_match

MAX_CACHED_STATEMENTS: Final = 4096
"""How many statement texts are kept before all are written anew."""


class Statements(ClauseBuilder):
    """Every statement of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._cache: dict[Any, Any] = {}

    def cached(self, key: Any, build: Callable[[], Any]) -> Any:
        """What was written for this shape before, or what is written now."""
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MAX_CACHED_STATEMENTS:
                self._cache.clear()
            found = self._cache[key] = build()
        return found

    # What is asked ---------------------------------------------------------------------------

    def page(
        self, listing: ListQuery, offset: int, size: int, *, use_counters: bool = False
    ) -> tuple[str, list[Any], RowDecoder]:
        """One statement that answers the total (first column) and `size` rows from `offset`, packed;
        with `seeking` the tally tells where to begin, for which the listing must be seekable.
        """
        entity, filters, order = listing.entity, listing.filters, listing.order
        started = offset > 0
        sort = (order.column.name, order.descending)
        key = ("page", entity, _filter_shape(filters), sort, size, started, use_counters)
        text, reads = self.cached(
            key, lambda: self._page_statement(entity, filters, order, size, started, use_counters)
        )
        values = self.filter_values(filters)
        return text, [*values, offset] if started else values, reads

    def _page_statement(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        order: Order,
        size: int,
        has_offset: bool,
        use_counters: bool,
    ) -> tuple[str, RowDecoder]:
        # The size stands in the text: a planner that does not know it would sort the whole table
        # rather than walk an index for its first rows.
        table = table_name(entity)
        _, counted, used = self.where(entity, filters)
        joins = Joins(entity)
        where, _, _ = self.where(entity, filters, joins)
        sort = self.sort_expression(order, joins)
        direction = "DESC" + self.dialect.nulls_last if order.descending else (
            "ASC" + self.dialect.nulls_first
        )  # fmt: skip
        ids = "DESC" if order.descending else "ASC"
        key = f"{sort} AS k, " if sort else ""
        inner = f"{sort} {direction}, t.id {ids}" if sort else f"t.id {ids}"
        by = f"k {direction}, id {ids}" if sort else f"id {ids}"
        before, offset = "", self.dialect.placeholder(used + 1)
        if use_counters:
            before, where, offset, total = seek_plan(entity, filters, order, offset, self.dialect)
        else:
            total = self._counted_total(entity, filters) or (
                f"SELECT count(*) FROM {table} AS t{counted}{where}"
            )
        skipped = f" OFFSET {offset}" if has_offset else ""
        if not sort and spans_locations(entity, filters):
            where += self.dialect.id_order_hint
        rows = f"SELECT {key}t.id AS id FROM {table} AS t{joins.text}{where}"
        ordered = f"ORDER BY {inner}"
        walked = f"{rows} {ordered} LIMIT {size}{skipped}"
        if reached := self._substring_match(entity, filters):
            before = f"{reached.ctes}matched AS MATERIALIZED ({rows} AND {reached.predicate}), "
            tests, limit = self.dialect.conditional_limit(f"NOT {reached.is_selective}", size)
            walked = (
                f"SELECT * FROM (SELECT * FROM matched ORDER BY {by} LIMIT {size}{skipped}) AS found "
                f"UNION ALL SELECT * FROM ({rows}{tests} {ordered} {limit}{skipped}) AS walked"
            )
            matched = "SELECT count(*) FROM matched"
            total = f"CASE WHEN {reached.is_selective} THEN ({matched}) ELSE ({total}) END"
        shown = Joins(entity)
        columns, reads = self.select_expressions(entity.meta().list_columns, shown)
        outer = f"page.k {direction}, page.id {ids}" if sort else f"page.id {ids}"
        return (
            f"WITH {before}page AS ({walked}) "
            f"SELECT ({total}), {self.row_expressions(columns)} "
            f"FROM (SELECT 1) AS one LEFT JOIN page ON 1 = 1 "
            f"LEFT JOIN {table} AS t ON t.id = page.id{shown.text} ORDER BY {outer}"
        ), reads

    def count(self, entity: type[Entity], filters: Sequence[Filter]) -> tuple[str, list[Any]]:
        """How many records match."""

        def write() -> str:
            where, joins, _ = self.where(entity, filters)
            if tallied := self._counted_total(entity, filters):
                return tallied
            counting = f"SELECT count(*) FROM {table_name(entity)} AS t{joins}{where}"
            if reached := self._substring_match(entity, filters):
                questions = reached.ctes.removesuffix(", ")
                few = f"{counting} AND {reached.predicate}"
                return (
                    f"WITH {questions} "
                    f"SELECT CASE WHEN {reached.is_selective} THEN ({few}) ELSE ({counting}) END"
                )
            return counting

        return self.cached(("count", entity, _filter_shape(filters)), write), self.filter_values(
            filters
        )

    def row_expressions(self, columns: Sequence[str]) -> str:
        """What a page reads of each row."""
        return self.dialect.pack_row(columns)

    def _substring_match(
        self, entity: type[Entity], filters: Sequence[Filter]
    ) -> SubstringMatch | None:
        """The rows that a filter by a part of a text may find, if they can be reached by it."""
        text = substring_filter(filters)
        if text is None:
            return None
        _, _, used = self.where(entity, filters[: list(filters).index(text)])
        return substring_match(text.column, self.dialect.placeholder(used + 1), self.dialect)

    def _counted_total(self, entity: type[Entity], filters: Sequence[Filter]) -> str | None:
        """How many match, where that need not be counted row by row."""
        return counted_total(entity, filters, self.dialect)

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
    ) -> tuple[str, list[Any], RowDecoder]:
        """Rows in column order, without a total; `whole` adds the collections, `names` chooses."""
        sort_key = (order.column.name, order.descending) if order else None
        key = ("find", entity, _filter_shape(filters), sort_key, limited, after, whole, names)

        def write() -> tuple[str, RowDecoder]:
            joins = Joins(entity)
            where, _, used = self.where(entity, filters, joins)
            if after:
                used += 1
                where += (
                    " AND " if where else " WHERE "
                ) + f"t.id > {self.dialect.placeholder(used)}"
            sort = self.sort_expression(order, joins) if order else ""
            down = bool(order and order.descending)
            direction = "DESC" + self.dialect.nulls_last if down else (
                "ASC" + self.dialect.nulls_first
            )  # fmt: skip
            by = (f"{sort} {direction}, " if sort else "") + f"t.id {'DESC' if down else 'ASC'}"
            shape = entity.meta()
            chosen: Iterable[Column] = shape.columns.values() if whole else shape.list_columns
            if names:
                chosen = [shape.columns.get(name) or shape.filter_only[name] for name in names]
            columns, reads = self.select_text(chosen, joins)
            limit = f" LIMIT {self.dialect.placeholder(used + 1)}" if limited else ""
            return (
                f"SELECT {columns} FROM {table_name(entity)} AS t{joins.text}{where} "
                f"ORDER BY {by}{limit}"
            ), reads

        text, reads = self.cached(key, write)
        return text, self.filter_values(filters), reads

    def find_as_rows(
        self,
        entity: type[Entity],
        filters: Sequence[Filter],
        names: tuple[str, ...],
        preceding: int,
    ) -> tuple[str, list[Any], RowDecoder]:
        """The rows of `find`, each as one value; so many parameters come before those of it."""

        def write() -> tuple[str, RowDecoder]:
            shape, joins = entity.meta(), Joins(entity)
            where, _, _ = self.where(entity, filters, joins, preceding)
            chosen = [shape.columns.get(name) or shape.filter_only[name] for name in names]
            columns, reads = self.select_text(chosen, joins)
            return (
                f"SELECT ROW({columns}) FROM {table_name(entity)} AS t{joins.text}{where} "
                "ORDER BY t.id"
            ), reads

        key = ("found rows", entity, _filter_shape(filters), names, preceding)
        text, reads = self.cached(key, write)
        return text, self.filter_values(filters), reads

    def get(
        self, entity: type[Entity], filters: Sequence[Filter]
    ) -> tuple[str, list[Any], RowDecoder]:
        """The whole record of an id, which is the first parameter, if the filters let it through."""
        key = ("one", entity, _filter_shape(filters)) if filters else ("one", entity)

        def write() -> tuple[str, RowDecoder]:
            wanted = Filter(entity.meta().columns["Id"], Comparison.EQUALS)
            joins = Joins(entity)
            where, _, _ = self.where(entity, (wanted, *filters), joins)
            columns, reads = self.select_text(entity.meta().columns.values(), joins)
            return f"SELECT {columns} FROM {table_name(entity)} AS t{joins.text}{where}", reads

        text, reads = self.cached(key, write)
        return text, self.filter_values(filters) if filters else [], reads

    def lock(
        self, entity: type[Entity], names: tuple[str, ...] = (), *, skip_locked: bool = False
    ) -> tuple[str, RowDecoder]:
        """Own stored values, all or those of `names`, for a list of ids, locked in id order; with
        `if_free` also for a second list, of which those that others have locked are left out.
        """

        def write() -> tuple[str, RowDecoder]:
            stored = {column.name: column for column in entity.meta().stored_columns}
            chosen = [stored[name] for name in names or stored]
            columns, reads = self.select_text(chosen, Joins(entity))
            parts = [(self.dialect.placeholder(1), self.dialect.lock_clause())]
            if skip_locked:
                parts.append(
                    (self.dialect.placeholder(2), self.dialect.lock_clause(skip_locked=True))
                )
            texts = [
                f"SELECT {columns} FROM {table_name(entity)} AS t "
                f"WHERE {self.dialect.in_array('t.id', mark)} ORDER BY t.id{locking}"
                for mark, locking in parts
            ]
            if not skip_locked:
                return texts[0], reads
            return " UNION ALL ".join(f"SELECT * FROM ({text}) AS l" for text in texts), reads

        found: tuple[str, RowDecoder] = self.cached(("lock", entity, names, skip_locked), write)
        return found

    def select_records(self, entity: type[Entity], source: str) -> tuple[str, RowDecoder]:
        """The whole records of the rows that `source` holds in place of the entity's table."""

        def write() -> tuple[str, RowDecoder]:
            joins = Joins(entity)
            columns, reads = self.select_text(tuple(entity.meta().columns.values()), joins)
            return f"SELECT {columns} FROM {source} AS t{joins.text}", reads

        found: tuple[str, RowDecoder] = self.cached(("whole", entity, source), write)
        return found


def _filter_shape(filters: Sequence[Filter]) -> tuple[Any, ...]:
    return tuple((f.column.name, f.comparison, f.custom_field is not None) for f in filters)
