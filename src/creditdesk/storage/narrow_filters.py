"""Which filter of a list to find the rows by, where that depends on values.

A prepared statement does not show its values to the planner, so it cannot know which of two dates is the rare
one, or that a location has no rows at all. A probe asks first: it counts the rows of each filter by its index,
up to PROBED_ROWS. The list is then found by the filter with fewest rows, if those are few. The probe is a hint:
total and page still come from one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Enum, Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.storage.clauses import is_key
from creditdesk.storage.fragments import Statement
from creditdesk.storage.naming import casefolded_name, column_name, is_casefolded

PROBED_ROWS: Final = 1000
"""A filter with at least as many rows is not worth finding the list by."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A statement that counts the rows of the filters at these positions, each up to PROBED_ROWS."""

    positions: tuple[int, ...]
    statement: Statement

    def narrowest(self, counts: Sequence[int]) -> int | None:
        """The position of the filter with fewest rows; None where every one has many."""
        fewest, position = min(zip(counts, self.positions, strict=True))
        return position if fewest < PROBED_ROWS else None


def probed_filters(entity: type[Entity], filters: Sequence[Filter], *, has_counted_total: bool) -> tuple[int, ...]:
    """The positions of the filters to probe; none where there is but one way to find the rows.

    A key, such as a customer, always has few rows. Else an equal value, a span of time and a location compete
    with each other, with the search of texts and with the row counters.
    """
    if any(each.comparison is Comparison.EQUALS and is_key(each.column) and not _is_scope(entity, each)
           for each in filters):  # fmt: skip
        return ()
    narrow = [position for position, each in enumerate(filters) if _may_be_narrow(each)]
    has_text = any(
        each.comparison is Comparison.CONTAINS and isinstance(each.column.field, Text) and each.column.indexed
        for each in filters
    )
    if narrow or has_text:
        narrow += [position for position, each in enumerate(filters) if _is_scope(entity, each)]
    return tuple(narrow) if narrow and len(narrow) + has_text + has_counted_total > 1 else ()


def probe_query(entity: type[Entity], table: str, filter_: Filter, condition: str, nulls_first: str) -> str:
    """SQL for the number of rows (alias t) of one filter, up to PROBED_ROWS."""
    column = filter_.column
    if entity.counted and column.name == entity.scope:
        order = f"t.created_on{nulls_first}"
    else:
        order = f"t.{casefolded_name(column) if is_casefolded(column) else column_name(column)}{nulls_first}"
    # The order of the index: a planner that expects many rows would read the table instead.
    rows = f"SELECT 1 FROM {table} AS t WHERE {condition} ORDER BY {order}, t.id LIMIT {PROBED_ROWS}"
    return f"(SELECT count(*) FROM ({rows}) AS probed)"


def _may_be_narrow(filter_: Filter) -> bool:
    """Whether an index of the table finds the rows of the filter, which may be few."""
    column = filter_.column
    return (
        filter_.comparison in (Comparison.EQUALS, Comparison.BETWEEN)
        and (column.is_own or column.denormalized)
        and column.indexed
        and not column.as_text
        and not is_key(column)
        and not isinstance(column.field, Boolean | Enum)
    )


def _is_scope(entity: type[Entity], filter_: Filter) -> bool:
    """Whether the filter selects one location, by a column of the table."""
    column = filter_.column
    return (
        column.name == entity.scope
        and filter_.comparison is Comparison.EQUALS
        and (column.is_own or column.denormalized)
    )
