"""Listing -> statement: SQL text for each shape of question, written once and kept.

A statement's text depends only on which columns are tested and sorted and how, never on values,
so that an engine prepares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Filter, Listing, Order, Test
from creditdesk.storage.counted_queries import of_several_locations, seek, tallied_total
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Joins, Reads, Terms
from creditdesk.storage.naming import table_name
from creditdesk.storage.text_search import Reach, part_of_text, reach

MOST_TEXTS: Final = 4096
"""How many statement texts are kept before all are written anew."""


class Statements(Terms):
    """Every statement of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
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
        """One statement that answers the total (first column) and `size` rows from `offset`, packed;
        with `seeking` the tally tells where to begin, for which the listing must be seekable.
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
        _, counted, used = self.where(entity, filters)
        joins = Joins(entity)
        where, _, _ = self.where(entity, filters, joins)
        sort = self.sort(order, joins)
        direction = "DESC" + self.dialect.nulls_last if order.descending else (
            "ASC" + self.dialect.nulls_first
        )  # fmt: skip
        ids = "DESC" if order.descending else "ASC"
        key = f"{sort} AS k, " if sort else ""
        inner = f"{sort} {direction}, t.id {ids}" if sort else f"t.id {ids}"
        by = f"k {direction}, id {ids}" if sort else f"id {ids}"
        before, offset = "", self.dialect.mark(used + 1)
        if seeking:
            before, where, offset, total = seek(entity, filters, order, offset, self.dialect)
        else:
            total = self._total(entity, filters) or (
                f"SELECT count(*) FROM {table} AS t{counted}{where}"
            )
        skipped = f" OFFSET {offset}" if started else ""
        if not sort and of_several_locations(entity, filters):
            where += self.dialect.along_ids
        rows = f"SELECT {key}t.id AS id FROM {table} AS t{joins.text}{where}"
        ordered = f"ORDER BY {inner}"
        walked = f"{rows} {ordered} LIMIT {size}{skipped}"
        if reached := self._reach(entity, filters):
            before = f"{reached.questions}matched AS MATERIALIZED ({rows} AND {reached.test}), "
            tests, limit = self.dialect.gate(f"NOT {reached.few}", size)
            walked = (
                f"SELECT * FROM (SELECT * FROM matched ORDER BY {by} LIMIT {size}{skipped}) AS found "
                f"UNION ALL SELECT * FROM ({rows}{tests} {ordered} {limit}{skipped}) AS walked"
            )
            matched = "SELECT count(*) FROM matched"
            total = f"CASE WHEN {reached.few} THEN ({matched}) ELSE ({total}) END"
        shown = Joins(entity)
        columns, reads = self.shown(entity.shape().listed, shown)
        outer = f"page.k {direction}, page.id {ids}" if sort else f"page.id {ids}"
        return (
            f"WITH {before}page AS ({walked}) "
            f"SELECT ({total}), {self.packed(columns)} "
            f"FROM (SELECT 1) AS one LEFT JOIN page ON 1 = 1 "
            f"LEFT JOIN {table} AS t ON t.id = page.id{shown.text} ORDER BY {outer}"
        ), reads

    def count(self, entity: type[Entity], filters: Sequence[Filter]) -> tuple[str, list[Any]]:
        """How many records match."""

        def write() -> str:
            where, joins, _ = self.where(entity, filters)
            if tallied := self._total(entity, filters):
                return tallied
            counting = f"SELECT count(*) FROM {table_name(entity)} AS t{joins}{where}"
            if reached := self._reach(entity, filters):
                questions = reached.questions.removesuffix(", ")
                few = f"{counting} AND {reached.test}"
                return (
                    f"WITH {questions} "
                    f"SELECT CASE WHEN {reached.few} THEN ({few}) ELSE ({counting}) END"
                )
            return counting

        return self.once(("count", entity, _shape(filters)), write), self.values(filters)

    def packed(self, columns: Sequence[str]) -> str:
        """What a page reads of each row."""
        return self.dialect.pack(columns)

    def _reach(self, entity: type[Entity], filters: Sequence[Filter]) -> Reach | None:
        """The rows that a filter by a part of a text may find, if they can be reached by it."""
        text = part_of_text(filters)
        if text is None:
            return None
        _, _, used = self.where(entity, filters[: list(filters).index(text)])
        return reach(text.column, self.dialect.mark(used + 1), self.dialect)

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
            joins = Joins(entity)
            where, _, used = self.where(entity, filters, joins)
            if after:
                used += 1
                where += (" AND " if where else " WHERE ") + f"t.id > {self.dialect.mark(used)}"
            sort = self.sort(order, joins) if order else ""
            down = bool(order and order.descending)
            direction = "DESC" + self.dialect.nulls_last if down else (
                "ASC" + self.dialect.nulls_first
            )  # fmt: skip
            by = (f"{sort} {direction}, " if sort else "") + f"t.id {'DESC' if down else 'ASC'}"
            shape = entity.shape()
            chosen: Iterable[Column] = shape.columns.values() if whole else shape.listed
            if names:
                chosen = [shape.columns.get(name) or shape.filter_only[name] for name in names]
            columns, reads = self.select(chosen, joins)
            limit = f" LIMIT {self.dialect.mark(used + 1)}" if limited else ""
            return (
                f"SELECT {columns} FROM {table_name(entity)} AS t{joins.text}{where} "
                f"ORDER BY {by}{limit}"
            ), reads

        text, reads = self.once(key, write)
        return text, self.values(filters), reads

    def found_rows(
        self, entity: type[Entity], filters: Sequence[Filter], names: tuple[str, ...], used: int
    ) -> tuple[str, list[Any], Reads]:
        """The rows of `find`, each as one value; so many parameters come before those of it."""

        def write() -> tuple[str, Reads]:
            shape, joins = entity.shape(), Joins(entity)
            where, _, _ = self.where(entity, filters, joins, used)
            chosen = [shape.columns.get(name) or shape.filter_only[name] for name in names]
            columns, reads = self.select(chosen, joins)
            return (
                f"SELECT ROW({columns}) FROM {table_name(entity)} AS t{joins.text}{where} "
                "ORDER BY t.id"
            ), reads

        key = ("found rows", entity, _shape(filters), names, used)
        text, reads = self.once(key, write)
        return text, self.values(filters), reads

    def one(self, entity: type[Entity], filters: Sequence[Filter]) -> tuple[str, list[Any], Reads]:
        """The whole record of an id, which is the first parameter, if the filters let it through."""
        key = ("one", entity, _shape(filters)) if filters else ("one", entity)

        def write() -> tuple[str, Reads]:
            wanted = Filter(entity.shape().columns["Id"], Test.IS)
            joins = Joins(entity)
            where, _, _ = self.where(entity, (wanted, *filters), joins)
            columns, reads = self.select(entity.shape().columns.values(), joins)
            return f"SELECT {columns} FROM {table_name(entity)} AS t{joins.text}{where}", reads

        text, reads = self.once(key, write)
        return text, self.values(filters) if filters else [], reads

    def lock(
        self, entity: type[Entity], names: tuple[str, ...] = (), *, if_free: bool = False
    ) -> tuple[str, Reads]:
        """Own stored values, all or those of `names`, for a list of ids, locked in id order; with
        `if_free` also for a second list, of which those that others have locked are left out.
        """

        def write() -> tuple[str, Reads]:
            stored = {column.name: column for column in entity.shape().stored}
            chosen = [stored[name] for name in names or stored]
            columns, reads = self.select(chosen, Joins(entity))
            parts = [(self.dialect.mark(1), self.dialect.locking())]
            if if_free:
                parts.append((self.dialect.mark(2), self.dialect.locking(if_free=True)))
            texts = [
                f"SELECT {columns} FROM {table_name(entity)} AS t "
                f"WHERE {self.dialect.within('t.id', mark)} ORDER BY t.id{locking}"
                for mark, locking in parts
            ]
            if not if_free:
                return texts[0], reads
            return " UNION ALL ".join(f"SELECT * FROM ({text}) AS l" for text in texts), reads

        found: tuple[str, Reads] = self.once(("lock", entity, names, if_free), write)
        return found

    def whole(self, entity: type[Entity], source: str) -> tuple[str, Reads]:
        """The whole records of the rows that `source` holds in place of the entity's table."""

        def write() -> tuple[str, Reads]:
            joins = Joins(entity)
            columns, reads = self.select(tuple(entity.shape().columns.values()), joins)
            return f"SELECT {columns} FROM {source} AS t{joins.text}", reads

        found: tuple[str, Reads] = self.once(("whole", entity, source), write)
        return found


def _shape(filters: Sequence[Filter]) -> tuple[Any, ...]:
    return tuple((f.column.name, f.test, f.name is not None) for f in filters)
