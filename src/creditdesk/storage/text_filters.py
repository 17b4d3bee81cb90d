"""Substring filters on indexed texts, answered by the indexes.

No index finds a substring, but an index lists the texts that contain it. Where few texts stand in many
rows each, as the names of rooms do, the index is walked from one distinct text to the next, and the rows
are those that equal one of the matches. Other texts are read from the index one by one, and the rows are
those with the ids found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditdesk.schema.fields import Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import casefolded_name, table_name


@dataclass(frozen=True, slots=True)
class TextFilter:
    """A substring filter, by its position among the filters of a query.

    `cte` defines `matching (value)`; `column` (of the table with the alias t) holds one of its values in
    every row that matches. `sorts` are the sort keys, empty for Id, by which an index lists the rows of
    one value. `is_own` says that the text belongs to the row itself.
    """

    position: int
    cte: str
    column: str
    sorts: frozenset[str]
    is_own: bool

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
        texts = f"SELECT id, {name} AS value FROM {table} WHERE {name} IS NOT NULL"
        found = f"SELECT id FROM ({texts}) AS texts WHERE {contains}"
    else:
        found = f"{_distinct_texts(table, name)} WHERE value IS NOT NULL AND {contains}"
    return TextFilter(
        position,
        f"matching (value) AS MATERIALIZED ({found})",
        "t.id" if is_many else f"t.{name}",
        sorts=frozenset(() if is_many else ("",) if column.is_own else ("", "t.created_on")),
        is_own=column.is_own,
    )


def _distinct_texts(table: str, column: str) -> str:
    """The distinct texts of a column, each found by the index from the one before it."""
    following = f"(SELECT min({column}) FROM {table} WHERE {column} > texts.value)"
    return (
        f"WITH RECURSIVE texts (value) AS ("
        f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT {following} FROM texts WHERE value IS NOT NULL) SELECT value FROM texts"
    )
