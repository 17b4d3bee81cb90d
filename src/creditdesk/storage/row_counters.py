"""Row counters: numbers of rows by CreatedOn, Id and location, which triggers maintain for each table.

A row is counted in buckets of several widths by CreatedOn and by Id, and among the rows of its location
in the widest buckets of CreatedOn. The number of a bucket is the value as an integer without its last
bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class BucketedColumn:
    """A column whose rows are counted in buckets of 2**bits values, for each of `bucket_bits`.

    Widest first; a bucket consists of whole buckets of the next width. The rows before a value are the
    widest buckets before it, then the next ones within its bucket, and so on; only rows of one narrowest
    bucket are ever read. No two columns share a width, so a width identifies its column.
    """

    column: str
    bucket_bits: tuple[int, ...]


CREATED_ON_BUCKETS: Final = BucketedColumn("created_on", (40, 33, 26, 19))
"""In microseconds since 1970: nearly 13 days, over two hours, a minute, half a second."""

ID_BUCKETS: Final = BucketedColumn("id", (18, 11))

LOCATION_BUCKET_BITS: Final = CREATED_ON_BUCKETS.bucket_bits[:2]
"""The widths by CreatedOn in which the rows of each location are counted."""

ALL_LOCATIONS: Final = 0
"""The location of counters for the rows of all locations."""

NO_LOCATION: Final = -1
"""The location of counters for rows without a location."""


MIN_MICROSECONDS: Final = -62_135_596_800_000_000
MAX_MICROSECONDS: Final = 253_402_300_799_999_999
"""The ends of the calendar, which PostgreSQL's driver maps to infinities."""

_SHARD_LOCK_CLASS: Final = 7230522
"""The first key of the advisory locks on shards."""


@dataclass(frozen=True, slots=True)
class CountedTable:
    """A table whose rows are counted, and its column that holds the location of a row."""

    table: str
    location: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide in which buckets a row is counted."""
        return CREATED_ON_BUCKETS.column, ID_BUCKETS.column, self.location

    @property
    def counter_table(self) -> str:
        """The table that holds the counters."""
        return f"{self.table}_counters"

    def counters(self, row: str = "") -> tuple[tuple[BucketedColumn, int, str], ...]:
        """Key, width and location of every counter that a row belongs to, wider buckets first.

        `row` is prefixed to the names of columns.
        """
        all_locations = str(ALL_LOCATIONS)
        return (
            *((key, bits, all_locations) for key in (CREATED_ON_BUCKETS, ID_BUCKETS) for bits in key.bucket_bits),
            *((CREATED_ON_BUCKETS, bits, self.location_expression(row)) for bits in LOCATION_BUCKET_BITS),
        )

    def location_expression(self, row: str = "") -> str:
        return f"coalesce({row}{self.location}, {NO_LOCATION})"


class RowCounters(ABC):
    """The engine-specific parts: values as integers, and the triggers that count."""

    def create_table(self, counted: CountedTable) -> str:
        """The table of counters; they are INTEGER, as PostgreSQL sums BIGINT as slower decimals.

        The key's columns come first and in its order: the integrity check of SQLite 3.40 reports
        every other order as NULL values.
        """
        return (
            f"CREATE TABLE IF NOT EXISTS {counted.counter_table} (bits SMALLINT NOT NULL, "
            "location BIGINT NOT NULL, bucket BIGINT NOT NULL, shard SMALLINT NOT NULL, "
            "n INTEGER NOT NULL, PRIMARY KEY (bits, location, bucket, shard))"
        )

    def backfill(self, counted: CountedTable) -> str:
        """Counts the rows that a table had before its counters; does nothing once there are counters."""
        uncounted = f"WHERE NOT EXISTS (SELECT 1 FROM {counted.counter_table})"
        grouped, counts = self._count_queries(counted, uncounted)
        return (
            f"INSERT INTO {counted.counter_table} (bits, location, bucket, shard, n) "
            f"WITH {grouped} SELECT bits, location, bucket, 0, n FROM ({counts}) AS found"
        )

    def mismatches(self, counted: CountedTable) -> str:
        """Counters that differ from the rows: width, location, bucket, stored and actual number."""
        way = "bits, location, bucket"
        grouped, counts = self._count_queries(counted)
        return (
            f"WITH {grouped} "
            f"SELECT {way}, CAST(sum(stored) AS BIGINT), CAST(sum(actual) AS BIGINT) FROM ("
            f"SELECT {way}, n AS stored, 0 AS actual FROM {counted.counter_table} "
            f"UNION ALL SELECT {way}, 0, n FROM ({counts}) AS found) "
            f"AS one GROUP BY {way} HAVING sum(stored) <> sum(actual) ORDER BY {way}"
        )

    def _count_queries(self, counted: CountedTable, where: str = "") -> tuple[str, str]:
        """The counters that a table's rows give: CTEs, and a query over them.

        Rows are grouped into the narrowest buckets of each key, and those into the wider ones.
        """
        ctes: list[str] = []
        narrower: dict[tuple[BucketedColumn, str], tuple[str, int]] = {}
        counts: list[str] = []
        for key, bits, location in reversed(counted.counters()):
            name = f"counts_{len(ctes)}"
            if finer := narrower.get((key, location)):
                source, finer_bits = finer
                of = f"location, bucket >> {bits - finer_bits} AS bucket, CAST(sum(n) AS BIGINT)"
                rows = source
            else:
                number = self.as_integer(key, key.column)
                of = f"{location} AS location, {number} >> {bits} AS bucket, count(*)"
                rows = f"{counted.table} {where}"
            ctes.append(f"{name} AS MATERIALIZED (SELECT {of} AS n FROM {rows} GROUP BY 1, 2)")
            narrower[key, location] = name, bits
            counts.append(f"SELECT {bits} AS bits, location, bucket, n FROM {name}")
        return ", ".join(ctes), " UNION ALL ".join(counts)

    @abstractmethod
    def as_integer(self, key: BucketedColumn, value: str) -> str:
        """A value of the key column as an integer."""

    @abstractmethod
    def bucket_start(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        """The smallest value of the key column in a bucket of this width."""

    @abstractmethod
    def bucket_end(self, key: BucketedColumn, bits: int, bucket: str) -> str:
        """The largest value of the key column in a bucket of this width."""

    @abstractmethod
    def triggers(self, counted: CountedTable) -> Iterator[str]:
        """Triggers that count the table's rows; recreated by every migration, as widths may change."""


class SQLiteRowCounters(RowCounters):
    """Datetimes are stored as integers; there is one writer at a time, so one shard."""

    def create_table(self, counted: CountedTable) -> str:
        return f"{super().create_table(counted)} WITHOUT ROWID"

    def as_integer(self, key: BucketedColumn, value: str) -> str:  # noqa: ARG002 - every key is an integer here
        return value

    def bucket_start(self, key: BucketedColumn, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return _bucket_start(bits, bucket)

    def bucket_end(self, key: BucketedColumn, bits: int, bucket: str) -> str:  # noqa: ARG002 - as above
        return f"({_bucket_start(bits, bucket)} + {2**bits - 1})"

    def triggers(self, counted: CountedTable) -> Iterator[str]:
        table = counted.table

        def step(row: str, change: int) -> str:
            counts = ", ".join(
                f"({bits}, {location}, {row}{key.column} >> {bits}, 0, {change})"
                for key, bits, location in counted.counters(row)
            )
            return (
                f"INSERT INTO {counted.counter_table} (bits, location, bucket, shard, n) VALUES {counts} "
                "ON CONFLICT DO UPDATE SET n = n + excluded.n;"
            )

        came, went = step("NEW.", 1), step("OLD.", -1)
        moved = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in counted.columns)
        for name, event, steps in (
            ("insert", f"INSERT ON {table}", came),
            ("delete", f"DELETE ON {table}", went),
            (
                "update",
                f"UPDATE OF {', '.join(counted.columns)} ON {table} WHEN {moved}",
                f"{went} {came}",
            ),
        ):
            trigger = f"{counted.counter_table}_{name}"
            yield f"DROP TRIGGER IF EXISTS {trigger}"
            yield f"CREATE TRIGGER {trigger} AFTER {event} BEGIN {steps} END"


class PostgreSQLRowCounters(RowCounters):
    """Datetimes are native; each transaction counts on a shard of its own.

    A transaction takes a shard that no other one holds, so writers never wait for each other's
    counters. There are as many shards as there were concurrent writers.
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
        # One microsecond before the next bucket: PostgreSQL multiplies intervals by floats, which
        # is exact only at the start of a bucket.
        return f"({self.bucket_start(key, bits, f'{bucket} + 1')} - interval '1 microsecond')"

    def triggers(self, counted: CountedTable) -> Iterator[str]:
        table = counted.table
        numbers = ", ".join(f"{self.as_integer(m, m.column)} AS {m.column}" for m in (CREATED_ON_BUCKETS, ID_BUCKETS))
        counts = ", ".join(f"({bits}, {location}, r.{key.column})" for key, bits, location in counted.counters("r."))

        def read(rows: str, change: int) -> str:
            return f"SELECT {numbers}, {counted.location}, {change} AS change FROM {rows}"

        def step(rows: str, n: str, having: str = "") -> str:
            # OFFSET 0 keeps the subquery, so that a datetime is converted once for each row.
            return (
                f"INSERT INTO {counted.counter_table} AS t (bits, location, bucket, shard, n) "
                f"SELECT c.bits, c.location, c.number >> c.bits, mine, {n} "
                f"FROM ({rows} OFFSET 0) AS r, "
                f"LATERAL (VALUES {counts}) AS c (bits, location, number) "
                f"GROUP BY 1, 2, 3{having} ON CONFLICT (bits, location, bucket, shard) "
                "DO UPDATE SET n = t.n + excluded.n;"
            )

        yield (
            "CREATE OR REPLACE FUNCTION creditdesk_counter_shard() RETURNS bigint LANGUAGE plpgsql "
            "AS $$ DECLARE mine integer := 0; BEGIN "
            f"WHILE NOT pg_try_advisory_xact_lock({_SHARD_LOCK_CLASS}, mine) LOOP mine := mine + 1; "
            "END LOOP; RETURN mine; END $$"
        )
        came, went = read("came", 1), read("went", -1)
        net = "sum(r.change)"
        # For each statement: a credit that moves to another location takes all its uses along, and
        # their changes are written once for each bucket.
        for name, event, counting in (
            ("insert", f"INSERT ON {table} REFERENCING NEW TABLE AS came", step(came, "count(*)")),
            ("delete", f"DELETE ON {table} REFERENCING OLD TABLE AS went", step(went, "-count(*)")),
            (
                "update",
                f"UPDATE ON {table} REFERENCING OLD TABLE AS went NEW TABLE AS came",
                step(f"{came} UNION ALL {went}", net, f" HAVING {net} <> 0"),
            ),
        ):
            trigger = f"{counted.counter_table}_{name}"
            yield (
                f"CREATE OR REPLACE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ DECLARE mine bigint := creditdesk_counter_shard(); "
                f"BEGIN {counting} RETURN NULL; END $$"
            )
            yield (f"CREATE OR REPLACE TRIGGER {trigger} AFTER {event} FOR EACH STATEMENT EXECUTE FUNCTION {trigger}()")


def _bucket_start(bits: int, bucket: str) -> str:
    return f"(({bucket}) << {bits})"
