"""Substring filters on indexed texts, answered by the indexes.

No index finds a substring, but an index lists the texts that contain it. Where few texts stand in many
rows each, as the names of rooms do, the index is walked from one distinct text to the next, and the rows
are those that equal one of the matches. Other texts are read from the index one by one, and the rows are
those with the ids found there, unless a sample of the table shows that too many rows match for a list of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.schema.fields import Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.filtered_pages import FilteredPage, PageOrder
from creditdesk.storage.naming import casefolded_name, table_name

SAMPLED_ROWS: Final = 2500
"""Rows at either end of the table in which a text is looked for first; they cost about half a millisecond."""

COMMON_MATCHES: Final = 25
"""A text that so many of the sampled rows hold is common: a list of all its ids would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class TextFilter:
    """A substring filter, by its position among the filters of a query.

    `cte` defines `matching (value)`; `column` (of the table with the alias t) holds one of its values in
    every row that matches. `sorts` are the sort keys, empty for Id, by which an index lists the rows of
    one value. `is_own` says that the text belongs to the row itself. `sample` is a query for whether the text
    is common (`is_common`), which `cte` heeds; empty where a text of few values is searched.
    """

    position: int
    cte: str
    column: str
    sorts: frozenset[str]
    is_own: bool
    sample: str = ""

    def replaced(self, dialect: Dialect) -> dict[int, str]:
        """The condition that finds rows by `matching`, by the position of the filter that it replaces."""
        return {self.position: dialect.in_subquery(self.column, "SELECT value FROM matching")}


def indexed_text_filter(filters: Sequence[Filter], placeholders: Sequence[str], dialect: Dialect) -> TextFilter | None:
    """The filter to find rows by: the first on a text of few values, else the first on another text."""
    usable = [
        (not each.column.low_cardinality, each.column.is_own, position)
        for position, each in enumerate(filters)
        if each.comparison is Comparison.CONTAINS and isinstance(each.column.field, Text) and each.column.indexed
    ]
    if not usable:
        return None
    is_many, _, position = min(usable)
    column = filters[position].column
    table, name = table_name(column.entity), casefolded_name(column)
    contains = dialect.contains("value", placeholders[position])
    if is_many:
        texts = f"SELECT id, {name} AS value FROM {table} WHERE {dialect.has_value(name, is_text=True)}"
        also, limit = dialect.limit_if("NOT (SELECT is_common FROM sample)")
        cte = f"matching (value) AS MATERIALIZED (SELECT id FROM ({texts}) AS texts WHERE {contains}{also}{limit})"
        sample = _sample(table, dialect.contains(name, placeholders[position]))
        return TextFilter(position, cte, "t.id", frozenset(), column.is_own, sample)
    found = f"{_distinct_texts(table, name)} WHERE value IS NOT NULL AND {contains}"
    sorts = ("",) if column.is_own else ("", "t.created_on")
    cte = f"matching (value) AS MATERIALIZED ({found})"
    return TextFilter(position, cte, f"t.{name}", frozenset(sorts), column.is_own)


def searched_page(text: TextFilter, plain: str, listed: str, order: PageOrder, dialect: Dialect) -> FilteredPage:
    """A page of rows with a text of many values: of a common one as without an index, else by the ids that match.

    `plain` is FROM and WHERE of all matches; `listed` the same by the ids of `text`.
    """
    is_common = "(SELECT is_common FROM sample)"
    also, limit = dialect.limit_if(is_common, order.size)
    ctes = (
        f"sample AS MATERIALIZED ({text.sample}), {text.cte}, "
        f"found AS MATERIALIZED (SELECT {order.columns} {listed}), "
        f"head AS MATERIALIZED (SELECT {order.columns} {plain}{also} {order.by_row}{limit}{order.skipped}), "
    )
    total = f"SELECT CASE WHEN {is_common} THEN (SELECT count(*) {plain}) ELSE (SELECT count(*) FROM found) END"
    sorted_ = f"SELECT * FROM found {order.by_key} LIMIT {order.size}{order.skipped}"
    return FilteredPage(ctes, f"SELECT * FROM ({sorted_}) AS sorted UNION ALL SELECT * FROM head", total)


def _sample(table: str, contains: str) -> str:
    """Whether many of the first and last rows contain a text."""
    first, last = f"min(id) + {SAMPLED_ROWS}", f"max(id) - {SAMPLED_ROWS}"
    rows = " UNION ALL ".join(
        f"SELECT 1 FROM {table} WHERE id {operator} (SELECT {bound} FROM {table}) AND {contains}"
        for operator, bound in (("<", first), (">", last))
    )
    some = f"SELECT 1 FROM ({rows}) AS ends LIMIT {COMMON_MATCHES}"
    return f"SELECT count(*) = {COMMON_MATCHES} AS is_common FROM ({some}) AS sampled"


def _distinct_texts(table: str, column: str) -> str:
    """The distinct texts of a column, each found by the index from the one before it."""
    following = f"(SELECT min({column}) FROM {table} WHERE {column} > texts.value)"
    return (
        f"WITH RECURSIVE texts (value) AS ("
        f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT {following} FROM texts WHERE value IS NOT NULL) SELECT value FROM texts"
    )
