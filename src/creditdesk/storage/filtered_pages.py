"""Pages of filtered lists whose rows no index holds in the order of the list.

How to find 25 of them depends on how many match, which no planner knows from the text of a statement. So
the statement itself decides: it counts first, then looks for the page among the first rows in the order of
the list, the more the more rows match, and if those hold too few, finds all matches as the count found them,
and sorts their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import table_name

SORTED_MATCHES: Final = 1000
"""Up to this many matches are sorted without a look at the first rows."""

WALKED_ROWS: Final = 5000
"""Rows in the order of the list among which a page is looked for at most; they cost about 1 ms."""

MATCHES_OF_WALKED_ROW: Final = 6
"""A look in vain at one row for so many matches costs at most a third of what sorting the matches costs."""

_WALKED_ORDERS: Final = frozenset({"Id", "CreatedOn", "UpdatedOn"})
"""Sort columns that every row has, and an index; only then is a bound on them a bound on rows."""


class FilteredPage(NamedTuple):
    """SQL for a page: CTEs, the query for its rows (k, id), or (id) where it sorts by Id, and the total."""

    ctes: str
    page: str
    total: str


@dataclass(frozen=True, slots=True)
class PageOrder:
    """The sort key, empty for Id; its direction and that of Id; and the rows of the page."""

    key: str
    direction: str
    id_direction: str
    size: int
    offset: str
    """SQL for the number of rows before the page; empty for the first page."""
    constant: str = ""
    """A column that has one value in all matches, where an index of it lists them by Id."""

    @property
    def skipped(self) -> str:
        """The OFFSET clause."""
        return f" OFFSET {self.offset}" if self.offset else ""

    @property
    def columns(self) -> str:
        """What is selected of a row (alias t)."""
        return f"{self.key} AS k, t.id AS id" if self.key else "t.id AS id"

    @property
    def by_key(self) -> str:
        """The ORDER BY clause over selected columns."""
        return (
            f"ORDER BY k {self.direction}, id {self.id_direction}" if self.key else f"ORDER BY id {self.id_direction}"
        )

    @property
    def by_row(self) -> str:
        """The ORDER BY clause over rows."""
        column = self.key or self.constant
        first = f"{column} {self.direction}, " if column else ""
        return f"ORDER BY {first}t.id {self.id_direction}"


def is_walked(column: Column) -> bool:
    """Whether the first rows in the order of a column are found by its index."""
    return column.is_own and column.name in _WALKED_ORDERS


def filtered_page(matches: str, walk: str, order: PageOrder, dialect: Dialect, counted: str = "") -> FilteredPage:
    """The page of a list with filters.

    `matches` is FROM and WHERE of all matches, with the joins of the sort key; `walk` that of those among the
    first rows in the order of the list, empty where no index has that order; `counted` a query for the total
    where rows need not be counted.
    """
    total = f"SELECT ({counted}) AS n" if counted else f"SELECT count(*) AS n {matches}"
    ctes = f"total AS MATERIALIZED ({total}), "
    rest = f"n - CAST({order.offset} AS BIGINT)" if order.offset else "n"
    missing, page = f"{rest} > 0", ""
    if walk:
        also, limit = dialect.limit_if(f"(SELECT n > {SORTED_MATCHES} FROM total)", order.size)
        ctes += f"head AS MATERIALIZED (SELECT {order.columns} {walk}{also} {order.by_row}{limit}{order.skipped}), "
        found = "(SELECT count(*) FROM head)"
        missing += f" AND {found} < {order.size} AND {found} < {rest}"
        page = " UNION ALL SELECT * FROM head WHERE NOT (SELECT missing FROM decision)"
    ctes += f"decision AS MATERIALIZED (SELECT {missing} AS missing FROM total), "
    also, limit = dialect.limit_if("(SELECT missing FROM decision)")
    # Not a CTE: only the rows of the page are kept while the matches are sorted.
    all_matches = f"(SELECT {order.columns} {matches}{also}{limit}) AS found"
    sorted_ = f"SELECT * FROM {all_matches} {order.by_key} LIMIT {order.size}{order.skipped}"
    return FilteredPage(ctes, f"SELECT * FROM ({sorted_}) AS sorted{page}", "SELECT n FROM total")


def walk_bound(
    entity: type[Entity], filters: Sequence[Filter], conditions: Sequence[str], sort: Order, order: PageOrder
) -> str:
    """The condition that selects the first rows (alias t) in the order of a list, in proportion to the matches.

    Rows outside a range of the sort column, or of another location than the one asked for, are not among
    them.
    """
    within = [
        condition for each, condition in zip(filters, conditions, strict=True)
        if each.column.name == sort.column.name or is_location(entity, each)
    ]  # fmt: skip
    rows = f"FROM {table_name(entity)} AS t{' WHERE ' if within else ''}{' AND '.join(within)}"
    most = WALKED_ROWS * MATCHES_OF_WALKED_ROW
    count = f"(SELECT CASE WHEN n > {most} THEN {WALKED_ROWS} ELSE n / {MATCHES_OF_WALKED_ROW} END FROM total)"
    operator = ">=" if sort.descending else "<="
    if not order.key:
        nearest = f"SELECT max(t.id) - {count}" if sort.descending else f"SELECT min(t.id) + {count}"
        return f"t.id {operator} ({nearest} {rows})"
    return f"{order.key} {operator} (SELECT {order.key} {rows} {order.by_row} LIMIT 1 OFFSET {count})"


def is_location(entity: type[Entity], filter_: Filter) -> bool:
    """Whether the filter selects one location of a counted entity, whose rows an index lists by creation."""
    return entity.counted and filter_.column.name == entity.scope and filter_.comparison is Comparison.EQUALS
