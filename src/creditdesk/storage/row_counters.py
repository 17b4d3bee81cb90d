"""The tally: what rows are counted along, and how each engine keeps count beside each table.

A row is counted in buckets of several widths by its creation and by its id, and once more among
the rows of its location in the widest buckets of creation. A bucket is named by its number: the
measured whole number without its last bits. Writes SQL text; runs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Measure:
    """A column whose rows are counted in buckets of 2**bits, for each of these bits, widest first.

    A bucket holds whole buckets of the next width. To tell how many rows precede a value, the
    widest are added up to the one that holds it, then the next ones within that, and so on; only
    rows of the last, narrowest one are ever walked. No two measures share a width, so that a
    width says along what it counts.
    """

    column: str
    widths: tuple[int, ...]


CREATION: Final = Measure("created_on", (40, 33, 26, 19))
"""In microseconds since 1970: nearly 13 days, over two hours, a minute, half a second."""

IDENTITY: Final = Measure("id", (18, 11))

LOCAL: Final = CREATION.widths[:2]
"""The widths of creation in which the rows of each location are counted."""

EVERYWHERE: Final = 0
"""Stands in the place of a location where the rows of all locations are counted."""

NOWHERE: Final = -1
"""Stands there for the rows that belong to no location."""


FIRST_MICROSECOND: Final = -62_135_596_800_000_000
LAST_MICROSECOND: Final = 253_402_300_799_999_999
"""Where the calendar ends, of which PostgreSQL's driver makes infinities."""

_SHARDS: Final = 7230522
"""The first number of the advisory locks that stand for shards."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A table whose rows are counted, and its column that names the location of a row."""

    table: str
    location: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What decides where a row is counted."""
        return CREATION.column, IDENTITY.column, self.location

    @property
    def tally(self) -> str:
        """The table that holds the numbers."""
        return f"{self.table}_tally"

    def counts(self, row: str = "") -> tuple[tuple[Measure, int, str], ...]:
        """Every way a row is counted: along what, in buckets of how many bits, and of which
        location; `row` is written before the name of a column. Wider buckets of a way come first.
        """
        everywhere = str(EVERYWHERE)
        return (
            *((m, bits, everywhere) for m in (CREATION, IDENTITY) for bits in m.widths),
            *((CREATION, bits, self.location_in(row)) for bits in LOCAL),
        )

    def location_in(self, row: str = "") -> str:
        return f"coalesce({row}{self.location}, {NOWHERE})"


class Tally(ABC):
    """What an engine must say of its own: the numbers of values, and the triggers that count."""

    def table(self, counted: Counted) -> str:
        """Where the numbers are kept.

        They are of half the width of others, as PostgreSQL adds up those of full width as decimals.
        """
        return (
            f"CREATE TABLE IF NOT EXISTS {counted.tally} (location BIGINT NOT NULL, "
            "bucket BIGINT NOT NULL, n INTEGER NOT NULL, bits SMALLINT NOT NULL, "
            "shard SMALLINT NOT NULL, PRIMARY KEY (bits, location, bucket, shard))"
        )

    def count_so_far(self, counted: Counted) -> str:
        """Counts a table's rows once: those from before it was tallied."""
        untallied = f"WHERE NOT EXISTS (SELECT 1 FROM {counted.tally})"
        grouped, counts = self._counting(counted, untallied)
        return (
            f"INSERT INTO {counted.tally} (bits, location, bucket, shard, n) "
            f"WITH {grouped} SELECT bits, location, bucket, 0, n FROM ({counts}) AS found"
        )

    def miscounted(self, counted: Counted) -> str:
        """The numbers of the tally that are not what the rows give: in buckets of how many bits,
        of which location, in which bucket, the number kept and the one found.
        """
        way = "bits, location, bucket"
        grouped, counts = self._counting(counted)
        return (
            f"WITH {grouped} "
            f"SELECT {way}, CAST(sum(kept) AS BIGINT), CAST(sum(found) AS BIGINT) FROM ("
            f"SELECT {way}, n AS kept, 0 AS found FROM {counted.tally} "
            f"UNION ALL SELECT {way}, 0, n FROM ({counts}) AS found) "
            f"AS one GROUP BY {way} HAVING sum(kept) <> sum(found) ORDER BY {way}"
        )

    def _counting(self, counted: Counted, where: str = "") -> tuple[str, str]:
        """What the tally of a table should hold: questions, and the numbers they lead to.

        Rows are grouped into the narrowest buckets of each way, and those into the next wider ones.
        """
        questions: list[str] = []
        narrower: dict[tuple[Measure, str], tuple[str, int]] = {}
        counts: list[str] = []
        for measure, bits, location in reversed(counted.counts()):
            name = f"counts_{len(questions)}"
            if finer := narrower.get((measure, location)):
                source, finer_bits = finer
                of = f"location, bucket >> {bits - finer_bits} AS bucket, CAST(sum(n) AS BIGINT)"
                rows = source
            else:
                number = self.measured(measure, measure.column)
                of = f"{location} AS location, {number} >> {bits} AS bucket, count(*)"
                rows = f"{counted.table} {where}"
            questions.append(f"{name} AS MATERIALIZED (SELECT {of} AS n FROM {rows} GROUP BY 1, 2)")
            narrower[measure, location] = name, bits
            counts.append(f"SELECT {bits} AS bits, location, bucket, n FROM {name}")
        return ", ".join(questions), " UNION ALL ".join(counts)

    @abstractmethod
    def measured(self, measure: Measure, value: str) -> str:
        """The whole number that a value of the measured column stands for."""

    @abstractmethod
    def first_of(self, measure: Measure, bits: int, bucket: str) -> str:
        """The least value of the measured column in a bucket of so many bits."""

    @abstractmethod
    def last_of(self, measure: Measure, bits: int, bucket: str) -> str:
        """The greatest value of the measured column in a bucket of so many bits."""

    @abstractmethod
    def triggers(self, counted: Counted) -> Iterator[str]:
        """Triggers that keep the table's rows counted; made anew each time, as buckets change."""


class SQLiteTally(Tally):
    """Instants are whole numbers already; there is one writer at a time, so one shard."""

    def table(self, counted: Counted) -> str:
        return f"{super().table(counted)} WITHOUT ROWID"

    def measured(self, measure: Measure, value: str) -> str:  # noqa: ARG002 - every measure is a whole number here
        return value

    def first_of(self, measure: Measure, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return _first_number(bits, bucket)

    def last_of(self, measure: Measure, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return f"({_first_number(bits, bucket)} + {2**bits - 1})"

    def triggers(self, counted: Counted) -> Iterator[str]:
        table = counted.table

        def step(row: str, change: int) -> str:
            counts = ", ".join(
                f"({bits}, {location}, {row}{m.column} >> {bits}, 0, {change})"
                for m, bits, location in counted.counts(row)
            )
            return (
                f"INSERT INTO {counted.tally} (bits, location, bucket, shard, n) VALUES {counts} "
                "ON CONFLICT DO UPDATE SET n = n + excluded.n;"
            )

        came, went = step("NEW.", 1), step("OLD.", -1)
        moved = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in counted.columns)
        for name, event, steps in (
            ("in", f"INSERT ON {table}", came),
            ("out", f"DELETE ON {table}", went),
            (
                "move",
                f"UPDATE OF {', '.join(counted.columns)} ON {table} WHEN {moved}",
                f"{went} {came}",
            ),
        ):
            trigger = f"{table}_tally_{name}"
            yield f"DROP TRIGGER IF EXISTS {trigger}"
            yield f"CREATE TRIGGER {trigger} AFTER {event} BEGIN {steps} END"


class PostgreSQLTally(Tally):
    """Instants are native; writers count on shards of their own.

    A transaction takes a shard that nobody else holds, so no writer waits for another here,
    whatever both count and in whatever order. There are as many shards as there were writers at
    one moment.
    """

    def measured(self, measure: Measure, value: str) -> str:
        if measure is not CREATION:
            return value
        microseconds = f"extract(epoch FROM {value}) * 1000000"
        finite = f"least(greatest({microseconds}, {FIRST_MICROSECOND}), {LAST_MICROSECOND})"
        return f"CAST({finite} AS BIGINT)"

    def first_of(self, measure: Measure, bits: int, bucket: str) -> str:
        number = _first_number(bits, bucket)
        if measure is not CREATION:
            return number
        return (
            f"CASE WHEN {number} <= {FIRST_MICROSECOND} THEN timestamptz '-infinity' "
            f"WHEN {number} > {LAST_MICROSECOND} THEN timestamptz 'infinity' "
            f"ELSE timestamptz 'epoch' + {number} * interval '1 microsecond' END"
        )

    def last_of(self, measure: Measure, bits: int, bucket: str) -> str:
        if measure is not CREATION:
            return f"({_first_number(bits, bucket)} + {2**bits - 1})"
        # A step back from the next bucket: an interval is multiplied by a float, and only where
        # a bucket begins is that exact.
        return f"({self.first_of(measure, bits, f'{bucket} + 1')} - interval '1 microsecond')"

    def triggers(self, counted: Counted) -> Iterator[str]:
        table = counted.table
        numbers = ", ".join(
            f"{self.measured(m, m.column)} AS {m.column}" for m in (CREATION, IDENTITY)
        )
        counts = ", ".join(
            f"({bits}, {location}, r.{m.column})" for m, bits, location in counted.counts("r.")
        )

        def read(rows: str, change: int) -> str:
            return f"SELECT {numbers}, {counted.location}, {change} AS change FROM {rows}"

        def step(rows: str, n: str, having: str = "") -> str:
            # Kept apart, so that the number of an instant is worked out once for each row.
            return (
                f"INSERT INTO {counted.tally} AS t (bits, location, bucket, shard, n) "
                f"SELECT c.bits, c.location, c.number >> c.bits, mine, {n} "
                f"FROM ({rows} OFFSET 0) AS r, "
                f"LATERAL (VALUES {counts}) AS c (bits, location, number) "
                f"GROUP BY 1, 2, 3{having} ON CONFLICT (bits, location, bucket, shard) "
                "DO UPDATE SET n = t.n + excluded.n;"
            )

        yield (
            "CREATE OR REPLACE FUNCTION creditdesk_tally_shard() RETURNS bigint LANGUAGE plpgsql "
            "AS $$ DECLARE mine integer := 0; BEGIN "
            f"WHILE NOT pg_try_advisory_xact_lock({_SHARDS}, mine) LOOP mine := mine + 1; "
            "END LOOP; RETURN mine; END $$"
        )
        came, went = read("came", 1), read("went", -1)
        net = "sum(r.change)"
        # By statement, as a credit that moves to another location takes all its uses with it: what
        # they change in all is written once for each bucket.
        for name, event, counting in (
            ("in", f"INSERT ON {table} REFERENCING NEW TABLE AS came", step(came, "count(*)")),
            ("out", f"DELETE ON {table} REFERENCING OLD TABLE AS went", step(went, "-count(*)")),
            (
                "move",
                f"UPDATE ON {table} REFERENCING OLD TABLE AS went NEW TABLE AS came",
                step(f"{came} UNION ALL {went}", net, f" HAVING {net} <> 0"),
            ),
        ):
            trigger = f"{table}_tally_{name}"
            yield (
                f"CREATE OR REPLACE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ DECLARE mine bigint := creditdesk_tally_shard(); "
                f"BEGIN {counting} RETURN NULL; END $$"
            )
            yield (
                f"CREATE OR REPLACE TRIGGER {trigger} AFTER {event} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {trigger}()"
            )


def _first_number(bits: int, bucket: str) -> str:
    return f"(({bucket}) << {bits})"
