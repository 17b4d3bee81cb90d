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
from creditdesk.schema.query import Filter, Order, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import location_name, table_name
from creditdesk.storage.row_counters import CREATION, EVERYWHERE, IDENTITY, LOCAL, Counted, Measure


class Seek(NamedTuple):
    """What makes a page begin near its first row: questions to put before it, the rows to walk
    (their alias is t), how many of them to pass over, and the total.
    """

    questions: str
    where: str
    offset: str
    total: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of one table that a question is about: a range of CreatedOn, as placeholders of
    which `until` is not in it, and of which locations. `said` are tests of a location, each with
    its placeholder; without any, the rows of all.
    """

    counted: Counted
    dialect: Dialect
    since: str | None = None
    through: str | None = None
    until: str | None = None
    said: tuple[tuple[Test, str], ...] = ()

    def widths(self, measure: Measure) -> tuple[int, ...]:
        """Of how many bits the buckets are in which these rows are counted, widest first."""
        return LOCAL if self.said else measure.widths

    def kept(self, bits: int | str) -> str:
        """What finds the rows of the tally for buckets of so many bits."""
        located = f" AND location = {EVERYWHERE}"
        if self.said:
            # No location has a number below one: what stands there in place of one is not asked for.
            # With a sign before it, no engine looks for the rows by this alone.
            located = f"{self.located('location')} AND +location > 0"
        return f"bits = {bits}{located}"

    def located(self, column: str) -> str:
        """What is said of the location, which this column holds."""
        return "".join(
            f" AND {self.dialect.within(column, mark)}"
            if test is Test.ONE_OF
            else f" AND {column} = {mark}"
            for test, mark in self.said
        )


def tallied_total(entity: type[Entity], filters: Sequence[Filter], dialect: Dialect) -> str | None:
    """The number that match, from the tally; None where the rows themselves must be counted.

    That is for a list of a tallied entity, whole or narrowed to a range of CreatedOn, to locations
    or to both.
    """
    if not entity.tallied or not _is_range(_but_locations(entity, filters)):
        return None
    low, high = _ends(_asked(entity, filters, dialect), CREATION)
    # Kept apart, as an engine would else work out each end as often as it is named.
    ends = f"SELECT {low} AS low, {high} AS high"
    return f"WITH ends AS MATERIALIZED ({ends}) SELECT {_BETWEEN} FROM ends"


def seekable(entity: type[Entity], filters: Sequence[Filter], order: Order) -> bool:
    """Whether a page of this list is found by the tally, however deep it lies.

    That is so for a list of a tallied entity sorted by CreatedOn, whole or narrowed to a range of
    CreatedOn, to one location or to both, and for a whole one sorted by Id.
    """
    others = _but_locations(entity, filters)
    if not entity.tallied or not _is_range(others):
        return False
    if order.column.name == "CreatedOn":
        # The rows of several locations lie in no order that could be walked.
        return [each.test for each in filters if each not in others] in ([], [Test.IS])
    return order.column.name == "Id" and not filters


def seek(
    entity: type[Entity], filters: Sequence[Filter], order: Order, mark: str, dialect: Dialect
) -> Seek:
    """How to begin a page of a seekable list near its first row, which so many precede as the
    placeholder `mark` will say.

    The tally tells the bucket in which that row lies and how many rows lie before the bucket; only
    the bucket's own are passed over one by one.
    """
    asked = _asked(entity, filters, dialect)
    measure = CREATION if order.column.name == "CreatedOn" else IDENTITY
    column = f"t.{measure.column}"
    low, high = _ends(asked, measure)
    offset = f"CAST({mark} AS BIGINT)"
    place = f"ends.high - 1 - {offset}" if order.descending else f"ends.low + {offset}"
    questions = (
        f"ends AS MATERIALIZED (SELECT {low} AS low, {high} AS high), "
        f"sought AS MATERIALIZED (SELECT {place} AS place FROM ends), "
    )
    wider: int | None = None
    for width in asked.widths(measure):
        questions += f"{_found(width)} AS MATERIALIZED ({_holding(asked, width, wider)}), "
        wider = width
    bits = asked.widths(measure)[-1]
    bucket = _found(bits)
    # The rows before a range lie before the place as well, and need no test of their own.
    if order.descending:
        end = dialect.tally.last_of(measure, bits, f"{bucket}.bucket")
        where = f" WHERE {column} <= (SELECT {end} FROM {bucket})"
        where += f" AND {column} >= {asked.since}" if asked.since else ""
        passed = f"{bucket}.passed + {bucket}.n - 1 - sought.place"
    else:
        start = dialect.tally.first_of(measure, bits, f"{bucket}.bucket")
        where = f" WHERE {column} >= (SELECT {start} FROM {bucket})"
        where += f" AND {column} <= {asked.through}" if asked.through else ""
        where += f" AND {column} < {asked.until}" if asked.until else ""
        passed = f"sought.place - {bucket}.passed"
    return Seek(
        questions,
        where + asked.located(f"t.{asked.counted.location}"),
        # Past the end there is no bucket; nothing is walked, yet a number is asked for.
        f"coalesce((SELECT {passed} FROM {bucket}, sought), 0)",
        f"SELECT {_BETWEEN} FROM ends",
    )


def _found(bits: int) -> str:
    """The name of the bucket of so many bits in which the place sought lies."""
    return f"found_{bits}"


def _holding(asked: _Asked, bits: int, wider: int | None) -> str:
    """The bucket that holds the place sought: its number, the rows before it, and its own.

    It is looked for within the wider one that was found.
    """
    tally, kept = asked.counted.tally, asked.kept(bits)
    source, within, passed = f"{tally} AS r", "", "0"
    if wider is not None:
        found, finer = _found(wider), wider - bits
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


def of_several_locations(entity: type[Entity], filters: Sequence[Filter]) -> bool:
    """Whether a list of a tallied entity is narrowed to a choice of locations."""
    return entity.tallied and any(
        each.column.name == entity.scope and each.test is Test.ONE_OF for each in filters
    )


def _but_locations(entity: type[Entity], filters: Sequence[Filter]) -> list[Filter]:
    """The filters that say something else than of which locations."""
    return [
        each for each in filters
        if each.column.name != entity.scope or each.test not in (Test.IS, Test.ONE_OF)
    ]  # fmt: skip


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


def _asked(entity: type[Entity], filters: Sequence[Filter], dialect: Dialect) -> _Asked:
    """What these filters ask of a tallied entity: a range, locations, or both."""
    kind = dialect.types[DateTime]
    range_: dict[str, str] = {}
    said: list[tuple[Test, str]] = []
    used = 0
    for each in filters:
        used += 1
        mark = dialect.mark(used)
        if each.column.name != "CreatedOn":
            said.append((each.test, mark))
        elif each.test is Test.SPAN:
            used += 1
            range_["since"] = f"CAST({mark} AS {kind})"
            range_["until"] = f"CAST({dialect.mark(used)} AS {kind})"
        else:
            side = "since" if each.test is Test.AT_LEAST else "through"
            range_[side] = f"CAST({mark} AS {kind})"
    counted = Counted(table_name(entity), location_name(entity))
    return _Asked(counted, dialect, **range_, said=tuple(said))


def _ends(asked: _Asked, measure: Measure) -> tuple[str, str]:
    """How many rows precede a range, and how many precede its end."""
    low = _before(asked, measure, asked.since, "<") if asked.since else "0"
    if asked.through:
        return low, _before(asked, measure, asked.through, "<=")
    if asked.until:
        return low, _before(asked, measure, asked.until, "<")
    every = f"{asked.counted.tally} WHERE {asked.kept(asked.widths(measure)[0])}"
    return low, f"(SELECT coalesce(sum(n), 0) FROM {every})"


def _before(asked: _Asked, measure: Measure, value: str, sign: str) -> str:
    """How many rows measure less than a value; with the sign `<=`, as much as it at most."""
    tally, counted, column = asked.dialect.tally, asked.counted, measure.column
    number = tally.measured(measure, value)
    widths = asked.widths(measure)
    stretches = [f"({widths[0]}, {_LEAST}, {number} >> {widths[0]})"]
    for wider, bits in pairwise(widths):
        begins = f"({number} >> {wider}) << {wider - bits}"
        stretches.append(f"({bits}, {begins}, {number} >> {bits})")
    start = tally.first_of(measure, widths[-1], f"({number} >> {widths[-1]})")
    # In this order, so that each stretch is looked up; both engines name its columns so.
    return (
        "((SELECT coalesce(sum(n), 0) "
        f"FROM (VALUES {', '.join(stretches)}) AS stretch CROSS JOIN {counted.tally} "
        f"WHERE {asked.kept('column1')} AND bucket >= column2 AND bucket < column3) "
        f"+ (SELECT count(*) FROM {counted.table} WHERE {column} >= {start} "
        f"AND {column} {sign} {value}{asked.located(counted.location)}))"
    )


# Less than any bucket's number.
_LEAST: Final = -(2**62)

# A range that ends before it begins holds nothing.
_BETWEEN: Final = "CASE WHEN high > low THEN high - low ELSE 0 END"
