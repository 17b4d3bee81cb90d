"""Totals and deep pages that need no walk over the rows: read from the tally of their numbers.

Writes SQL text from declared names and placeholders only; runs nothing. The tally moves with the
rows in one transaction, and a total and its page are read in one statement, so all three agree.
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
    """What makes a page begin near its first row: questions to put before it, the rows to walk
    (their alias is t), how many of them to pass over, and the total.
    """

    ctes: str
    where: str
    offset: str
    total: str


@dataclass(frozen=True, slots=True)
class _CountedRange:
    """The rows of one table that a question is about: a range of CreatedOn, as placeholders of
    which `until` is not in it, and of which locations. `said` are tests of a location, each with
    its placeholder; without any, the rows of all.
    """

    counted: CountedTable
    dialect: Dialect
    since: str | None = None
    through: str | None = None
    until: str | None = None
    location_tests: tuple[tuple[Comparison, str], ...] = ()

    def bucket_bits(self, measure: BucketedColumn) -> tuple[int, ...]:
        """Of how many bits the buckets are in which these rows are counted, widest first."""
        return LOCATION_BUCKET_BITS if self.location_tests else measure.bucket_bits

    def counter_condition(self, bits: int | str) -> str:
        """What finds the rows of the tally for buckets of so many bits."""
        located = f" AND location = {ALL_LOCATIONS}"
        if self.location_tests:
            # No location has a number below one: what stands there in place of one is not asked for.
            # With a sign before it, no engine looks for the rows by this alone.
            located = f"{self.location_condition('location')} AND +location > 0"
        return f"bits = {bits}{located}"

    def location_condition(self, column: str) -> str:
        """What is said of the location, which this column holds."""
        return "".join(
            f" AND {self.dialect.in_array(column, mark)}"
            if test is Comparison.ONE_OF
            else f" AND {column} = {mark}"
            for test, mark in self.location_tests
        )


def counted_total(
    entity: type[Entity],
    filters: Sequence[Filter],
    parameters: Sequence[Sequence[Parameter]],
    dialect: Dialect,
) -> str | None:
    """The number that match, from the tally; None where the rows themselves must be counted.

    That is for a list of a tallied entity, whole or narrowed to a range of CreatedOn, to locations
    or to both.
    """
    if not entity.counted or not _is_creation_range(_without_location_filters(entity, filters)):
        return None
    low, high = _range_bounds(
        _counted_range(entity, filters, parameters, dialect), CREATED_ON_BUCKETS
    )
    # Kept apart, as an engine would else work out each end as often as it is named.
    ends = f"SELECT {low} AS low, {high} AS high"
    return f"WITH ends AS MATERIALIZED ({ends}) SELECT {_RANGE_SIZE} FROM ends"


def is_seekable(entity: type[Entity], filters: Sequence[Filter], order: Order) -> bool:
    """Whether a page of this list is found by the tally, however deep it lies.

    That is so for a list of a tallied entity sorted by CreatedOn, whole or narrowed to a range of
    CreatedOn, to one location or to both, and for a whole one sorted by Id.
    """
    others = _without_location_filters(entity, filters)
    if not entity.counted or not _is_creation_range(others):
        return False
    if order.column.name == "CreatedOn":
        # The rows of several locations lie in no order that could be walked.
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
    """How to begin a page of a seekable list near its first row, which so many precede as the
    placeholder `mark` will say.

    The tally tells the bucket in which that row lies and how many rows lie before the bucket; only
    the bucket's own are passed over one by one.
    """
    asked = _counted_range(entity, filters, parameters, dialect)
    measure = CREATED_ON_BUCKETS if order.column.name == "CreatedOn" else ID_BUCKETS
    column = f"t.{measure.column}"
    low, high = _range_bounds(asked, measure)
    offset = f"CAST({rows_before} AS BIGINT)"
    place = f"ends.high - 1 - {offset}" if order.descending else f"ends.low + {offset}"
    questions = (
        f"ends AS MATERIALIZED (SELECT {low} AS low, {high} AS high), "
        f"sought AS MATERIALIZED (SELECT {place} AS place FROM ends), "
    )
    wider: int | None = None
    for width in asked.bucket_bits(measure):
        questions += (
            f"{_bucket_cte(width)} AS MATERIALIZED ({_bucket_query(asked, width, wider)}), "
        )
        wider = width
    bits = asked.bucket_bits(measure)[-1]
    bucket = _bucket_cte(bits)
    # The rows before a range lie before the place as well, and need no test of their own.
    if order.descending:
        end = dialect.counters.bucket_end(measure, bits, f"{bucket}.bucket")
        where = f" WHERE {column} <= (SELECT {end} FROM {bucket})"
        where += f" AND {column} >= {asked.since}" if asked.since else ""
        passed = f"{bucket}.passed + {bucket}.n - 1 - sought.place"
    else:
        start = dialect.counters.bucket_start(measure, bits, f"{bucket}.bucket")
        where = f" WHERE {column} >= (SELECT {start} FROM {bucket})"
        where += f" AND {column} <= {asked.through}" if asked.through else ""
        where += f" AND {column} < {asked.until}" if asked.until else ""
        passed = f"sought.place - {bucket}.passed"
    return SeekPlan(
        questions,
        where + asked.location_condition(f"t.{asked.counted.location}"),
        # Past the end there is no bucket; nothing is walked, yet a number is asked for.
        f"coalesce((SELECT {passed} FROM {bucket}, sought), 0)",
        f"SELECT {_RANGE_SIZE} FROM ends",
    )


def _bucket_cte(bits: int) -> str:
    """The name of the bucket of so many bits in which the place sought lies."""
    return f"found_{bits}"


def _bucket_query(asked: _CountedRange, bits: int, wider: int | None) -> str:
    """The bucket that holds the place sought: its number, the rows before it, and its own.

    It is looked for within the wider one that was found.
    """
    tally, kept = asked.counted.counter_table, asked.counter_condition(bits)
    source, within, passed = f"{tally} AS r", "", "0"
    if wider is not None:
        found, finer = _bucket_cte(wider), wider - bits
        # In this order, so that its buckets are looked up by number.
        source, passed = f"{found} CROSS JOIN {tally} AS r", f"{found}.passed"
        within = (
            f" AND r.bucket >= ({found}.bucket << {finer})"
            f" AND r.bucket < (({found}.bucket + 1) << {finer})"
        )
    # A sum in the order of buckets is that of all shards of one bucket, on each of them.
    through = f"SELECT r.bucket, {passed} + sum(r.n) OVER (ORDER BY r.bucket) AS through"
    own = f"(SELECT sum(r.n) FROM {tally} AS r WHERE {kept} AND r.bucket = first.bucket)"
    return (
        f"SELECT bucket, through - n AS passed, n FROM (SELECT bucket, through, {own} AS n FROM ("
        f"SELECT bucket, through FROM ({through} FROM {source} WHERE {kept}{within}) AS summed "
        "WHERE through > (SELECT place FROM sought) ORDER BY bucket LIMIT 1) AS first) AS held"
    )


def spans_locations(entity: type[Entity], filters: Sequence[Filter]) -> bool:
    """Whether a list of a tallied entity is narrowed to a choice of locations."""
    return entity.counted and any(
        each.column.name == entity.scope and each.comparison is Comparison.ONE_OF
        for each in filters
    )


def _without_location_filters(entity: type[Entity], filters: Sequence[Filter]) -> list[Filter]:
    """The filters that say something else than of which locations."""
    return [
        each for each in filters
        if each.column.name != entity.scope or each.comparison not in (Comparison.EQUALS, Comparison.ONE_OF)
    ]  # fmt: skip


def _is_creation_range(filters: Sequence[Filter]) -> bool:
    """Whether the filters are nothing but a range of CreatedOn, in one of the ways to say it."""
    if any(each.column.name != "CreatedOn" for each in filters):
        return False
    tests = sorted(each.comparison for each in filters)
    return tests in (
        [],
        [Comparison.AT_LEAST],
        [Comparison.AT_LEAST, Comparison.AT_MOST],
        [Comparison.AT_MOST],
        [Comparison.BETWEEN],
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
        values = [f"CAST({parameter} AS {column_type})" for parameter in own]
        if each.column.name != "CreatedOn":
            locations.append((each.comparison, str(own[0])))
        elif each.comparison is Comparison.BETWEEN:
            bounds["since"], bounds["until"] = values
        else:
            [bounds["since" if each.comparison is Comparison.AT_LEAST else "through"]] = values
    counted = CountedTable(table_name(entity), location_column(entity))
    return _CountedRange(counted, dialect, **bounds, location_tests=tuple(locations))


def _range_bounds(asked: _CountedRange, measure: BucketedColumn) -> tuple[str, str]:
    """How many rows precede a range, and how many precede its end."""
    low = _count_before(asked, measure, asked.since, "<") if asked.since else "0"
    if asked.through:
        return low, _count_before(asked, measure, asked.through, "<=")
    if asked.until:
        return low, _count_before(asked, measure, asked.until, "<")
    every = f"{asked.counted.counter_table} WHERE {asked.counter_condition(asked.bucket_bits(measure)[0])}"
    return low, f"(SELECT coalesce(sum(n), 0) FROM {every})"


def _count_before(asked: _CountedRange, measure: BucketedColumn, value: str, sign: str) -> str:
    """How many rows measure less than a value; with the sign `<=`, as much as it at most."""
    tally, counted, column = asked.dialect.counters, asked.counted, measure.column
    number = tally.as_integer(measure, value)
    widths = asked.bucket_bits(measure)
    stretches = [f"({widths[0]}, {_MIN_BUCKET}, {number} >> {widths[0]})"]
    for wider, bits in pairwise(widths):
        begins = f"({number} >> {wider}) << {wider - bits}"
        stretches.append(f"({bits}, {begins}, {number} >> {bits})")
    start = tally.bucket_start(measure, widths[-1], f"({number} >> {widths[-1]})")
    # In this order, so that each stretch is looked up; both engines name its columns so.
    return (
        "((SELECT coalesce(sum(n), 0) "
        f"FROM (VALUES {', '.join(stretches)}) AS stretch CROSS JOIN {counted.counter_table} "
        f"WHERE {asked.counter_condition('column1')} AND bucket >= column2 AND bucket < column3) "
        f"+ (SELECT count(*) FROM {counted.table} WHERE {column} >= {start} "
        f"AND {column} {sign} {value}{asked.location_condition(counted.location)}))"
    )


# Less than any bucket's number.
_MIN_BUCKET: Final = -(2**62)

# A range that ends before it begins holds nothing.
_RANGE_SIZE: Final = "CASE WHEN high > low THEN high - low ELSE 0 END"
