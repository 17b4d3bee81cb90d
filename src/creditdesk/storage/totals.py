"""Totals and deep pages that need no walk over the rows: read from the tally of their numbers.

Writes SQL text from declared names and placeholders only; runs nothing. The tally moves with the
rows in one transaction, and a total and its page are read in one statement, so all three agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from creditdesk.schema.entity import Entity
from creditdesk.schema.kinds import DateTime
from creditdesk.schema.listing import Filter, Order, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import table_name
from creditdesk.storage.tally import CREATION, IDENTITY, Measure


class Seek(NamedTuple):
    """What makes a page begin near its first row: questions to put before it, the rows to walk
    (their alias is t), how many of them to pass over, and the total.
    """

    questions: str
    where: str
    offset: str
    total: str


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The placeholders of a range of CreatedOn; `until` is the one that is not in it."""

    since: str | None = None
    through: str | None = None
    until: str | None = None


def tallied_total(entity: type[Entity], filters: Sequence[Filter], dialect: Dialect) -> str | None:
    """The number that match, from the tally; None where the rows themselves must be counted.

    That is for a list of a tallied entity, whole or narrowed to a range of CreatedOn.
    """
    bounds = _bounds(filters, dialect) if entity.tallied else None
    if bounds is None:
        return None
    low, high = _ends(table_name(entity), CREATION, bounds, dialect)
    # Kept apart, as an engine would else work out each end as often as it is named.
    ends = f"SELECT {low} AS low, {high} AS high"
    return f"WITH ends AS MATERIALIZED ({ends}) SELECT {_BETWEEN} FROM ends"


def seekable(entity: type[Entity], filters: Sequence[Filter], order: Order) -> bool:
    """Whether a page of this list is found by the tally, however deep it lies.

    That is so for a list of a tallied entity sorted by CreatedOn, whole or narrowed to a range of
    CreatedOn, and for a whole one sorted by Id.
    """
    if not entity.tallied or not _is_range(filters):
        return False
    return order.column.name == "CreatedOn" or (order.column.name == "Id" and not filters)


def seek(
    entity: type[Entity], filters: Sequence[Filter], order: Order, mark: str, dialect: Dialect
) -> Seek:
    """How to begin a page of a seekable list near its first row, which so many precede as the
    placeholder `mark` will say.

    The tally tells the bucket in which that row lies and how many rows lie before the bucket; only
    the bucket's own are passed over one by one.
    """
    bounds = _bounds(filters, dialect)
    assert bounds is not None
    measure = CREATION if order.column.name == "CreatedOn" else IDENTITY
    table, column = table_name(entity), f"t.{measure.column}"
    low, high = _ends(table, measure, bounds, dialect)
    offset = f"CAST({mark} AS BIGINT)"
    place = f"ends.high - 1 - {offset}" if order.descending else f"ends.low + {offset}"
    narrow = measure.wide - measure.narrow
    within = f"r.bucket >= (wide.bucket << {narrow}) AND r.bucket < ((wide.bucket + 1) << {narrow})"
    questions = (
        f"ends AS MATERIALIZED (SELECT {low} AS low, {high} AS high), "
        f"sought AS MATERIALIZED (SELECT {place} AS place FROM ends), "
        f"wide AS MATERIALIZED ({_holding(table, measure, measure.wide, '0', '')}), "
        "narrow AS MATERIALIZED "
        f"({_holding(table, measure, measure.narrow, 'wide.passed', within)}), "
    )
    # The rows before a range lie before the place as well, and need no test of their own.
    if order.descending:
        end = dialect.tally.last_of(measure, "narrow.bucket")
        where = f" WHERE {column} <= (SELECT {end} FROM narrow)"
        where += f" AND {column} >= {bounds.since}" if bounds.since else ""
        passed = "narrow.passed + narrow.n - 1 - sought.place"
    else:
        start = dialect.tally.first_of(measure, "narrow.bucket")
        where = f" WHERE {column} >= (SELECT {start} FROM narrow)"
        where += f" AND {column} <= {bounds.through}" if bounds.through else ""
        where += f" AND {column} < {bounds.until}" if bounds.until else ""
        passed = "sought.place - narrow.passed"
    return Seek(
        questions,
        where,
        # Past the end there is no bucket; nothing is walked, yet a number is asked for.
        f"coalesce((SELECT {passed} FROM narrow, sought), 0)",
        f"SELECT {_BETWEEN} FROM ends",
    )


def _holding(table: str, measure: Measure, bits: int, passed: str, within: str) -> str:
    """The bucket that holds the place sought: its number, the rows before it, and its own.

    Of buckets that begin at one place only the last has rows.
    """
    source = ", wide" if within else ""
    within = f" AND {within}" if within else ""
    group = "r.bucket" + (", wide.passed" if source else "")
    return (
        "SELECT bucket, passed, n FROM (SELECT r.bucket, CAST(sum(r.n) AS BIGINT) AS n, "
        f"CAST({passed} + sum(sum(r.n)) OVER (ORDER BY r.bucket) - sum(r.n) AS BIGINT) "
        f"AS passed FROM row_tally AS r{source} WHERE {_kept(table, measure, bits)}{within} "
        f"GROUP BY {group}) AS summed "
        "WHERE passed <= (SELECT place FROM sought) ORDER BY bucket DESC LIMIT 1"
    )


def _is_range(filters: Sequence[Filter]) -> bool:
    """Whether the filters are nothing but a range of CreatedOn, in one of the ways to say it."""
    if any(each.column.name != "CreatedOn" for each in filters):
        return False
    tests = sorted(each.test for each in filters)
    return tests in (
        [],
        [Test.AT_LEAST],
        [Test.AT_LEAST, Test.AT_MOST],
        [Test.AT_MOST],
        [Test.SPAN],
    )


def _bounds(filters: Sequence[Filter], dialect: Dialect) -> _Bounds | None:
    if not _is_range(filters):
        return None
    kind = dialect.types[DateTime]
    marks = [f"CAST({dialect.mark(position)} AS {kind})" for position in (1, 2)]
    if [each.test for each in filters] == [Test.SPAN]:
        return _Bounds(since=marks[0], until=marks[1])
    said = {each.test: mark for each, mark in zip(filters, marks, strict=False)}
    return _Bounds(since=said.get(Test.AT_LEAST), through=said.get(Test.AT_MOST))


def _ends(table: str, measure: Measure, bounds: _Bounds, dialect: Dialect) -> tuple[str, str]:
    """How many rows precede a range, and how many precede its end."""
    low = _before(table, measure, bounds.since, "<", dialect) if bounds.since else "0"
    if bounds.through:
        return low, _before(table, measure, bounds.through, "<=", dialect)
    if bounds.until:
        return low, _before(table, measure, bounds.until, "<", dialect)
    return low, _sum(f"{_kept(table, measure, measure.wide)}")


def _before(table: str, measure: Measure, value: str, sign: str, dialect: Dialect) -> str:
    """How many rows measure less than a value; with the sign `<=`, as much as it at most.

    Whole wide buckets, whole narrow ones of the last wide one, and the rows of the last narrow one.
    """
    number = dialect.tally.measured(measure, value)
    narrow, wide = f"({number} >> {measure.narrow})", f"({number} >> {measure.wide})"
    first = f"({wide} << {measure.wide - measure.narrow})"
    start = dialect.tally.first_of(measure, narrow)
    column = measure.column
    return (
        f"({_sum(f'{_kept(table, measure, measure.wide)} AND bucket < {wide}')} + "
        + _sum(
            f"{_kept(table, measure, measure.narrow)} AND bucket >= {first} AND bucket < {narrow}"
        )
        + f" + (SELECT count(*) FROM {table} WHERE {column} >= {start} "
        f"AND {column} {sign} {value}))"
    )


def _kept(table: str, measure: Measure, bits: int) -> str:
    return f"table_name = '{table}' AND measure = '{measure.column}' AND bits = {bits}"


def _sum(where: str) -> str:
    # A sum of whole numbers is a decimal on PostgreSQL; a total is a whole number.
    return f"(SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM row_tally WHERE {where})"


# A range that ends before it begins holds nothing.
_BETWEEN: Final = "CASE WHEN high > low THEN high - low ELSE 0 END"
