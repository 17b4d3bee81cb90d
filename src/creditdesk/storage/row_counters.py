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
class BucketedColumn:
    """A column whose rows are counted in buckets of 2**bits, for each of these bits, widest first.

    A bucket holds whole buckets of the next width. To tell how many rows precede a value, the
    widest are added up to the one that holds it, then the next ones within that, and so on; only
    rows of the last, narrowest one are ever walked. No two measures share a width, so that a
    width says along what it counts.
    """

    column: str
    bucket_bits: tuple[int, ...]


CREATED_ON_BUCKETS: Final = BucketedColumn("created_on", (40, 33, 26, 19))
"""In microseconds since 1970: nearly 13 days, over two hours, a minute, half a second."""

ID_BUCKETS: Final = BucketedColumn("id", (18, 11))

LOCATION_BUCKET_BITS: Final = CREATED_ON_BUCKETS.bucket_bits[:2]
"""The widths of creation in which the rows of each location are counted."""

ALL_LOCATIONS: Final = 0
"""Stands in the place of a location where the rows of all locations are counted."""

NO_LOCATION: Final = -1
"""Stands there for the rows that belong to no location."""


MIN_MICROSECONDS: Final = -62_135_596_800_000_000
MAX_MICROSECONDS: Final = 253_402_300_799_999_999
"""Where the calendar ends, of which PostgreSQL's driver makes infinities."""

_SHARD_LOCK_CLASS: Final = 7230522
"""The first number of the advisory locks that stand for shards."""


@dataclass(frozen=True, slots=True)
class CountedTable:
    """A table whose rows are counted, and its column that names the location of a row."""

    table: str
    location: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What decides where a row is counted."""
        return CREATED_ON_BUCKETS.column, ID_BUCKETS.column, self.location

    @property
    def counter_table(self) -> str:
        """The table that holds the numbers."""
        return f"{self.table}_tally"

    def counters(self, row: str = "") -> tuple[tuple[BucketedColumn, int, str], ...]:
        """Every way a row is counted: along what, in buckets of how many bits, and of which
        location; `row` is written before the name of a column. Wider buckets of a way come first.
        """
        everywhere = str(ALL_LOCATIONS)
        return (
            *(
                (m, bits, everywhere)
                for m in (CREATED_ON_BUCKETS, ID_BUCKETS)
                for bits in m.bucket_bits
            ),
            *(
                (CREATED_ON_BUCKETS, bits, self.location_expression(row))
                for bits in LOCATION_BUCKET_BITS
            ),
        )

    def location_expression(self, row: str = "") -> str:
        return f"coalesce({row}{self.location}, {NO_LOCATION})"


class RowCounters(ABC):
    """What an engine must say of its own: the numbers of values, and the triggers that count."""

    def create_table(self, counted: CountedTable) -> str:
        """Where the numbers are kept.

        They are of half the width of others, as PostgreSQL adds up those of full width as decimals.
        """
        return (
            f"CREATE TABLE IF NOT EXISTS {counted.counter_table} (location BIGINT NOT NULL, "
            "bucket BIGINT NOT NULL, n INTEGER NOT NULL, bits SMALLINT NOT NULL, "
            "shard SMALLINT NOT NULL, PRIMARY KEY (bits, location, bucket, shard))"
        )

    def backfill(self, counted: CountedTable) -> str:
        """Counts a table's rows once: those from before it was tallied."""
        untallied = f"WHERE NOT EXISTS (SELECT 1 FROM {counted.counter_table})"
        grouped, counts = self._count_queries(counted, untallied)
        return (
            f"INSERT INTO {counted.counter_table} (bits, location, bucket, shard, n) "
            f"WITH {grouped} SELECT bits, location, bucket, 0, n FROM ({counts}) AS found"
        )

    def mismatches(self, counted: CountedTable) -> str:
        """The numbers of the tally that are not what the rows give: in buckets of how many bits,
        of which location, in which bucket, the number kept and the one found.
        """
        way = "bits, location, bucket"
        grouped, counts = self._count_queries(counted)
        return (
            f"WITH {grouped} "
            f"SELECT {way}, CAST(sum(kept) AS BIGINT), CAST(sum(found) AS BIGINT) FROM ("
            f"SELECT {way}, n AS kept, 0 AS found FROM {counted.counter_table} "
            f"UNION ALL SELECT {way}, 0, n FROM ({counts}) AS found) "
            f"AS one GROUP BY {way} HAVING sum(kept) <> sum(found) ORDER BY {way}"
        )

    def _count_queries(self, counted: CountedTable, where: str = "") -> tuple[str, str]:
        """What the tally of a table should hold: questions, and the numbers they lead to.

        Rows are grouped into the narrowest buckets of each way, and those into the next wider ones.
        """
        questions: list[str] = []
        narrower: dict[tuple[BucketedColumn, str], tuple[str, int]] = {}
        counts: list[str] = []
        for measure, bits, location in reversed(counted.counters()):
            name = f"counts_{len(questions)}"
            if finer := narrower.get((measure, location)):
                source, finer_bits = finer
                of = f"location, bucket >> {bits - finer_bits} AS bucket, CAST(sum(n) AS BIGINT)"
                rows = source
            else:
                number = self.as_integer(measure, measure.column)
                of = f"{location} AS location, {number} >> {bits} AS bucket, count(*)"
                rows = f"{counted.table} {where}"
            questions.append(f"{name} AS MATERIALIZED (SELECT {of} AS n FROM {rows} GROUP BY 1, 2)")
            narrower[measure, location] = name, bits
            counts.append(f"SELECT {bits} AS bits, location, bucket, n FROM {name}")
        return ", ".join(questions), " UNION ALL ".join(counts)

    @abstractmethod
    def as_integer(self, key: BucketedColumn, value: str) -> str:
        """The whole number that a value of the measured column stands for."""

    @abstractmethod
    def bucket_start(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        """The least value of the measured column in a bucket of so many bits."""

    @abstractmethod
    def bucket_end(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        """The greatest value of the measured column in a bucket of so many bits."""

    @abstractmethod
    def triggers(self, counted: CountedTable) -> Iterator[str]:
        """Triggers that keep the table's rows counted; made anew each time, as buckets change."""


class SQLiteRowCounters(RowCounters):
    """Instants are whole numbers already; there is one writer at a time, so one shard."""

    def create_table(self, counted: CountedTable) -> str:
        return f"{super().create_table(counted)} WITHOUT ROWID"

    def as_integer(self, key: BucketedColumn, value: str) -> str:  # noqa: ARG002 - every measure is a whole number here
        return value

    def bucket_start(self, key: BucketedColumn, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return _bucket_start(bits, bucket)

    def bucket_end(self, key: BucketedColumn, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return f"({_bucket_start(bits, bucket)} + {2**bits - 1})"

    def triggers(self, counted: CountedTable) -> Iterator[str]:
        table = counted.table

        def step(row: str, change: int) -> str:
            counts = ", ".join(
                f"({bits}, {location}, {row}{m.column} >> {bits}, 0, {change})"
                for m, bits, location in counted.counters(row)
            )
            return (
                f"INSERT INTO {counted.counter_table} (bits, location, bucket, shard, n) VALUES {counts} "
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


class PostgreSQLRowCounters(RowCounters):
    """Instants are native; writers count on shards of their own.

    A transaction takes a shard that nobody else holds, so no writer waits for another here,
    whatever both count and in whatever order. There are as many shards as there were writers at
    one moment.
    """

    def as_integer(self, key: BucketedColumn, value: str) -> str:
        if key is not CREATED_ON_BUCKETS:
            return value
        microseconds = f"extract(epoch FROM {value}) * 1000000"
        finite = f"least(greatest({microseconds}, {MIN_MICROSECONDS}), {MAX_MICROSECONDS})"
        return f"CAST({finite} AS BIGINT)"

    def bucket_start(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        number = _bucket_start(bits, bucket)
        if key is not CREATED_ON_BUCKETS:
            return number
        return (
            f"CASE WHEN {number} <= {MIN_MICROSECONDS} THEN timestamptz '-infinity' "
            f"WHEN {number} > {MAX_MICROSECONDS} THEN timestamptz 'infinity' "
            f"ELSE timestamptz 'epoch' + {number} * interval '1 microsecond' END"
        )

    def bucket_end(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        if key is not CREATED_ON_BUCKETS:
            return f"({_bucket_start(bits, bucket)} + {2**bits - 1})"
        # A step back from the next bucket: an interval is multiplied by a float, and only where
        # a bucket begins is that exact.
        return f"({self.bucket_start(key, bits, f'{bucket} + 1')} - interval '1 microsecond')"

    def triggers(self, counted: CountedTable) -> Iterator[str]:
        table = counted.table
        numbers = ", ".join(
            f"{self.as_integer(m, m.column)} AS {m.column}"
            for m in (CREATED_ON_BUCKETS, ID_BUCKETS)
        )
        counts = ", ".join(
            f"({bits}, {location}, r.{m.column})" for m, bits, location in counted.counters("r.")
        )

        def read(rows: str, change: int) -> str:
            return f"SELECT {numbers}, {counted.location}, {change} AS change FROM {rows}"

        def step(rows: str, n: str, having: str = "") -> str:
            # Kept apart, so that the number of an instant is worked out once for each row.
            return (
                f"INSERT INTO {counted.counter_table} AS t (bits, location, bucket, shard, n) "
                f"SELECT c.bits, c.location, c.number >> c.bits, mine, {n} "
                f"FROM ({rows} OFFSET 0) AS r, "
                f"LATERAL (VALUES {counts}) AS c (bits, location, number) "
                f"GROUP BY 1, 2, 3{having} ON CONFLICT (bits, location, bucket, shard) "
                "DO UPDATE SET n = t.n + excluded.n;"
            )

        yield (
            "CREATE OR REPLACE FUNCTION creditdesk_tally_shard() RETURNS bigint LANGUAGE plpgsql "
            "AS $$ DECLARE mine integer := 0; BEGIN "
            f"WHILE NOT pg_try_advisory_xact_lock({_SHARD_LOCK_CLASS}, mine) LOOP mine := mine + 1; "
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


def _bucket_start(bits: int, bucket: str) -> str:
    return f"(({bucket}) << {bits})"
