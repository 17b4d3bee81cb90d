"""Which filter of a list to find the rows by, where that depends on values.

A prepared statement does not show its values to the planner, so it cannot know which of two dates is the rare
one, or that a location has no rows at all. Where filters compete, a probe counts the rows of each by its index,
up to NARROW_ROWS. A page is then found by the filter with fewest rows; where that has NARROW_ROWS all the same,
the statement leaves the total out, and the list is found as without it. Total and page still come from one
statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.filtered_pages import FilteredPage, PageOrder
from creditdesk.storage.fragments import Statement
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded, table_name
from creditdesk.storage.selectivity import is_key, may_be_narrow

NARROW_ROWS: Final = 1000
"""A filter with at least as many rows is not worth finding the list by."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A statement that counts the rows of the filters at these positions, each up to NARROW_ROWS."""

    positions: tuple[int, ...]
    statement: Statement

    def narrowest(self, counts: Sequence[int]) -> int | None:
        """The position of the filter with fewest rows; None where every one has many."""
        fewest, position = min(zip(counts, self.positions, strict=True))
        return position if fewest < NARROW_ROWS else None


@dataclass(frozen=True, slots=True)
class NarrowSearch:
    """How to begin with a list: with a probe, else by the filter at the position `by`, else as without either."""

    probe: Probe | None = None
    by: int | None = None


def narrow_positions(entity: type[Entity], filters: Sequence[Filter]) -> tuple[int, ...]:
    """The positions of the filters that may have few rows; none where it is known how to find the rows.

    A key, such as a customer, has few rows. A location has few only where text is searched for that it does not
    have. Beside filters that have no index or select many rows, an index is used in any case.
    """
    if any(each.comparison is Comparison.EQUALS and is_key(each.column) and not _is_scope(entity, each)
           for each in filters):  # fmt: skip
        return ()
    has_text = any(
        each.comparison is Comparison.CONTAINS and isinstance(each.column.field, Text) and each.column.indexed
        for each in filters
    )
    narrow = [position for position, each in enumerate(filters) if may_be_narrow(each)]
    if not narrow and has_text:
        return tuple(position for position, each in enumerate(filters) if _is_scope(entity, each))
    return tuple(narrow) if has_text or len(narrow) > 1 else ()


def must_probe(entity: type[Entity], filters: Sequence[Filter], positions: Sequence[int]) -> bool:
    """Whether the filters at these positions compete, or the only one is a location, which seldom has few rows."""
    return len(positions) > 1 or _is_scope(entity, filters[positions[0]])


def narrow_rows(entity: type[Entity], filter_: Filter, condition: str, columns: str, nulls_first: str) -> str:
    """SQL for the first NARROW_ROWS rows (alias t) of one filter."""
    column = filter_.column
    if entity.counted and column.name == entity.scope:
        order = f"t.created_on{nulls_first}"
    else:
        order = f"t.{casefolded_name(column) if is_casefolded(column) else column_name(column)}{nulls_first}"
    # The order of the index: a planner that expects many rows would read the table instead.
    rows = f"SELECT {columns} FROM {table_name(entity)} AS t WHERE {condition}"
    return f"{rows} ORDER BY {order}, t.id LIMIT {NARROW_ROWS}"


def narrow_page(narrow: str, matches: str, order: PageOrder, dialect: Dialect) -> FilteredPage:
    """The page among the rows of `narrow`, or without a total where those are NARROW_ROWS.

    `matches` is FROM and WHERE of the rows that the other filters select.
    """
    few = f"(SELECT count(*) FROM narrow) < {NARROW_ROWS}"
    also, limit = dialect.limit_if(few)
    within = dialect.in_subquery("t.id", "SELECT id FROM narrow")
    ctes = (
        f"narrow AS MATERIALIZED ({narrow}), "
        f"found AS MATERIALIZED (SELECT {order.columns} {matches} AND {within}{also}{limit}), "
    )
    page = f"SELECT * FROM found {order.by_key} LIMIT {order.size}{order.skipped}"
    return FilteredPage(ctes, page, f"SELECT CASE WHEN {few} THEN (SELECT count(*) FROM found) END")


def _is_scope(entity: type[Entity], filter_: Filter) -> bool:
    """Whether the filter selects one location, by a column of the table."""
    column = filter_.column
    return (
        column.name == entity.scope
        and filter_.comparison is Comparison.EQUALS
        and (column.is_own or column.denormalized)
    )
