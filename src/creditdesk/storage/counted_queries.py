"""Totals and deep pages from the row counters, without scanning the rows.

Triggers change counters in the transaction that changes the rows, and one statement reads total and page, so all
three are consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime
from creditdesk.schema.query import Comparison, Filter, Order
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Parameter
from creditdesk.storage.naming import location_column, table_name
from creditdesk.storage.row_counters import (
    ALL_LOCATIONS,
    CREATED_ON_BUCKETS,
    ID_BUCKETS,
    LOCATION_BUCKET_BITS,
    BucketedColumn,
    CountedTable,
)


class SeekPlan(NamedTuple):
    """SQL for a page that starts near its first row: CTEs, the WHERE clause of the rows (alias t), the
    OFFSET among them, and the total.
    """

    ctes: str
    where: str
    offset: str
    total: str


@dataclass(frozen=True, slots=True)
class _CountedRange:
    """The rows of one table that filters select: a range of CreatedOn, and locations.

    The bounds are expressions, and inclusive. `location_tests` are comparisons with their placeholders; without
    any, the rows of all locations are meant.
    """

    counted: CountedTable
    dialect: Dialect
    since: str | None = None
    through: str | None = None
    location_tests: tuple[tuple[Comparison, str], ...] = ()

    def bucket_bits(self, key: BucketedColumn) -> tuple[int, ...]:
        """The bucket widths in which these rows are counted, widest first."""
        return LOCATION_BUCKET_BITS if self.location_tests else key.bucket_bits

    def counter_condition(self, bits: int | str) -> str:
        """The condition on the counters of buckets of this width."""
        location = f" AND location = {ALL_LOCATIONS}"
        if self.location_tests:
            # Ids start at one; lower numbers stand for all locations and for none. The sign keeps
            # the engines from choosing an index by this condition.
            location = f"{self.location_condition('location')} AND +location > 0"
        return f"bits = {bits}{location}"

    def location_condition(self, column: str) -> str:
        """The conditions on the location, for the column that holds it."""
        return "".join(
            f" AND {self.dialect.in_array(column, value)}"
            if comparison is Comparison.ONE_OF
            else f" AND {column} = {value}"
            for comparison, value in self.location_tests
        )


def counted_total(
    entity: type[Entity],
    filters: Sequence[Filter],
    parameters: Sequence[Sequence[Parameter]],
    dialect: Dialect,
) -> str | None:
    """SQL for the number of matches, from the counters; None if the rows must be counted.

    Counters serve lists of a counted entity that are filtered by nothing but a range of CreatedOn and
    locations.
    """
    if not entity.counted or not _is_creation_range(_without_location_filters(entity, filters)):
        return None
    low, high = _range_bounds(_counted_range(entity, filters, parameters, dialect), CREATED_ON_BUCKETS)
    # Materialized, as an engine would otherwise compute each bound as often as it is named.
    bounds = f"SELECT {low} AS low, {high} AS high"
    return f"WITH bounds AS MATERIALIZED ({bounds}) SELECT {_RANGE_SIZE} FROM bounds"


def is_seekable(entity: type[Entity], filters: Sequence[Filter], order: Order) -> bool:
    """Whether the counters find any page of this list.

    They do for lists of a counted entity that are sorted by CreatedOn and filtered by nothing but a range
    of CreatedOn and one location, and for unfiltered ones that are sorted by Id.
    """
    others = _without_location_filters(entity, filters)
    if not entity.counted or not _is_creation_range(others):
        return False
    if order.column.name == "CreatedOn":
        # No index holds the rows of several locations in one order.
        return [each.comparison for each in filters if each not in others] in (
            [],
            [Comparison.EQUALS],
        )
    return order.column.name == "Id" and not filters


def seek_plan(
    entity: type[Entity],
    filters: Sequence[Filter],
    order: Order,
    parameters: Sequence[Sequence[Parameter]],
    rows_before: Parameter,
    dialect: Dialect,
) -> SeekPlan:
    """How a page of a seekable list starts after `rows_before` rows.

    The counters give the bucket of the first row and the number of rows before the bucket; only rows
    of that bucket are skipped one by one.
    """
    selected = _counted_range(entity, filters, parameters, dialect)
    key = CREATED_ON_BUCKETS if order.column.name == "CreatedOn" else ID_BUCKETS
    column = f"t.{key.column}"
    low, high = _range_bounds(selected, key)
    offset = f"CAST({rows_before} AS BIGINT)"
    position = f"bounds.high - 1 - {offset}" if order.descending else f"bounds.low + {offset}"
    ctes = (
        f"bounds AS MATERIALIZED (SELECT {low} AS low, {high} AS high), "
        f"target AS MATERIALIZED (SELECT {position} AS position FROM bounds), "
    )
    wider: int | None = None
    for width in selected.bucket_bits(key):
        ctes += f"{_bucket_cte(width)} AS MATERIALIZED ({_bucket_query(selected, width, wider)}), "
        wider = width
    bits = selected.bucket_bits(key)[-1]
    bucket = _bucket_cte(bits)
    # Rows before the range lie before the position too, and need no condition of their own.
    if order.descending:
        end = dialect.counters.bucket_end(key, bits, f"{bucket}.bucket")
        where = f" WHERE {column} <= (SELECT {end} FROM {bucket})"
        where += f" AND {column} >= {selected.since}" if selected.since else ""
        skipped = f"{bucket}.rows_before + {bucket}.n - 1 - target.position"
    else:
        start = dialect.counters.bucket_start(key, bits, f"{bucket}.bucket")
        where = f" WHERE {column} >= (SELECT {start} FROM {bucket})"
        where += f" AND {column} <= {selected.through}" if selected.through else ""
        skipped = f"target.position - {bucket}.rows_before"
    return SeekPlan(
        ctes,
        where + selected.location_condition(f"t.{selected.counted.location}"),
        # Past the end there is no bucket: nothing is read, but OFFSET must be a number.
        f"coalesce((SELECT {skipped} FROM {bucket}, target), 0)",
        f"SELECT {_RANGE_SIZE} FROM bounds",
    )


def _bucket_cte(bits: int) -> str:
    """The CTE that holds the bucket of this width with the position."""
    return f"found_{bits}"


def _bucket_query(selected: _CountedRange, bits: int, wider: int | None) -> str:
    """Number, rows before and rows of the bucket with the position, within the `wider` bucket."""
    counters, condition = selected.counted.counter_table, selected.counter_condition(bits)
    source, within, before = f"{counters} AS r", "", "0"
    if wider is not None:
        found, finer = _bucket_cte(wider), wider - bits
        # CROSS JOIN fixes the join order, so that the index finds the buckets by number.
        source, before = f"{found} CROSS JOIN {counters} AS r", f"{found}.rows_before"
        within = f" AND r.bucket >= ({found}.bucket << {finer}) AND r.bucket < (({found}.bucket + 1) << {finer})"
    # Peers of a window, the shards of a bucket, share its running sum.
    through = f"SELECT r.bucket, {before} + sum(r.n) OVER (ORDER BY r.bucket) AS through"
    own = f"(SELECT sum(r.n) FROM {counters} AS r WHERE {condition} AND r.bucket = first.bucket)"
    return (
        f"SELECT bucket, through - n AS rows_before, n FROM (SELECT bucket, through, {own} AS n FROM ("
        f"SELECT bucket, through FROM ({through} FROM {source} WHERE {condition}{within}) AS summed "
        "WHERE through > (SELECT position FROM target) ORDER BY bucket LIMIT 1) AS first) AS held"
    )


def spans_locations(entity: type[Entity], filters: Sequence[Filter]) -> bool:
    """Whether a list of a counted entity is filtered by several locations."""
    return entity.counted and any(
        each.column.name == entity.scope and each.comparison is Comparison.ONE_OF for each in filters
    )


def _without_location_filters(entity: type[Entity], filters: Sequence[Filter]) -> list[Filter]:
    """The filters other than those by location."""
    return [
        each for each in filters
        if each.column.name != entity.scope or each.comparison not in (Comparison.EQUALS, Comparison.ONE_OF)
    ]  # fmt: skip


def _is_creation_range(filters: Sequence[Filter]) -> bool:
    """Whether the filters are at most one range of CreatedOn. The few rows of a named second or day are counted."""
    if any(each.column.name != "CreatedOn" for each in filters):
        return False
    comparisons = sorted(each.comparison for each in filters)
    return comparisons in (
        [],
        [Comparison.AT_LEAST],
        [Comparison.AT_LEAST, Comparison.AT_MOST],
        [Comparison.AT_MOST],
    )


def _counted_range(
    entity: type[Entity],
    filters: Sequence[Filter],
    parameters: Sequence[Sequence[Parameter]],
    dialect: Dialect,
) -> _CountedRange:
    """The range of CreatedOn and the locations that these filters select."""
    column_type = dialect.column_types[DateTime]
    bounds: dict[str, str] = {}
    locations: list[tuple[Comparison, str]] = []
    for each, own in zip(filters, parameters, strict=True):
        if each.column.name != "CreatedOn":
            locations.append((each.comparison, str(own[0])))
        else:
            bound = "since" if each.comparison is Comparison.AT_LEAST else "through"
            bounds[bound] = f"CAST({own[0]} AS {column_type})"
    counted = CountedTable(table_name(entity), location_column(entity))
    return _CountedRange(counted, dialect, **bounds, location_tests=tuple(locations))


def _range_bounds(selected: _CountedRange, key: BucketedColumn) -> tuple[str, str]:
    """SQL for the number of rows before a range, and before its end."""
    low = _count_before(selected, key, selected.since, "<") if selected.since else "0"
    if selected.through:
        return low, _count_before(selected, key, selected.through, "<=")
    condition = selected.counter_condition(selected.bucket_bits(key)[0])
    total = f"SELECT coalesce(sum(n), 0) FROM {selected.counted.counter_table} WHERE {condition}"
    return low, f"({total})"


def _count_before(selected: _CountedRange, key: BucketedColumn, value: str, operator: str) -> str:
    """SQL for the number of rows below a value, or with the operator `<=` up to it."""
    counters, counted, column = selected.dialect.counters, selected.counted, key.column
    number = counters.as_integer(key, value)
    widths = selected.bucket_bits(key)
    ranges = [f"({widths[0]}, {_MIN_BUCKET}, {number} >> {widths[0]})"]
    for wider, bits in pairwise(widths):
        ranges.append(f"({bits}, ({number} >> {wider}) << {wider - bits}, {number} >> {bits})")
    start = counters.bucket_start(key, widths[-1], f"({number} >> {widths[-1]})")
    # A subquery for each range: joined with the list of ranges, PostgreSQL may choose to read all counters. Both engines
    # name the columns of VALUES so.
    in_range = (
        f"SELECT sum(n) FROM {counted.counter_table} "
        f"WHERE {selected.counter_condition('column1')} AND bucket >= column2 AND bucket < column3"
    )
    return (
        f"((SELECT CAST(coalesce(sum(({in_range})), 0) AS BIGINT) FROM (VALUES {', '.join(ranges)}) AS bucket_range) "
        f"+ (SELECT count(*) FROM {counted.table} WHERE {column} >= {start} "
        f"AND {column} {operator} {value}{selected.location_condition(counted.location)}))"
    )


# Below every bucket's number.
_MIN_BUCKET: Final = -(2**62)

# A range that ends before it starts is empty.
_RANGE_SIZE: Final = "CASE WHEN high > low THEN high - low ELSE 0 END"
