"""The tally: what rows are counted along, and how each engine keeps the count in `row_tally`.

A row is counted in buckets of two widths, by its creation and by its id. A bucket is named by its
number: the measured whole number without its last bits. Writes SQL text; runs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Measure:
    """A column whose rows are counted in narrow buckets of 2**narrow and wide ones of 2**wide.

    A wide bucket holds whole narrow ones. Only the rows of one narrow bucket are ever walked, and
    only the narrow buckets of one wide bucket are ever added up.
    """

    column: str
    narrow: int
    wide: int


CREATION: Final = Measure("created_on", narrow=33, wide=39)
"""In microseconds since 1970: a little over two hours, and over six days."""

IDENTITY: Final = Measure("id", narrow=11, wide=17)
COUNTED: Final = tuple((m, bits) for m in (CREATION, IDENTITY) for bits in (m.narrow, m.wide))
_COLUMNS: Final = tuple(m.column for m in (CREATION, IDENTITY))

_FIRST_MICROSECOND: Final = -62_135_596_800_000_000
_LAST_MICROSECOND: Final = 253_402_300_799_999_999
"""Where the calendar ends, of which PostgreSQL's driver makes infinities."""

_SHARDS: Final = 7230522
"""The first number of the advisory locks that stand for shards."""


class Tally(ABC):
    """What an engine must say of its own: the numbers of values, and the triggers that count."""

    columns = (
        "table_name TEXT NOT NULL, measure TEXT NOT NULL, bits BIGINT NOT NULL, "
        "bucket BIGINT NOT NULL, shard BIGINT NOT NULL, n BIGINT NOT NULL, "
        "PRIMARY KEY (table_name, measure, bits, bucket, shard)"
    )

    def table(self) -> str:
        return f"CREATE TABLE IF NOT EXISTS row_tally ({self.columns})"

    def count_so_far(self, table: str) -> str:
        """Counts a table's rows once: those from before it was tallied."""
        counted = f"SELECT 1 FROM row_tally WHERE table_name = '{table}'"
        counts = " UNION ALL ".join(
            f"SELECT '{table}', '{m.column}', {bits}, {self.measured(m, m.column)} >> {bits}, 0, "
            f"count(*) FROM {table} WHERE NOT EXISTS ({counted}) GROUP BY 4"
            for m, bits in COUNTED
        )
        return f"INSERT INTO row_tally {counts}"

    @abstractmethod
    def measured(self, measure: Measure, value: str) -> str:
        """The whole number that a value of the measured column stands for."""

    @abstractmethod
    def first_of(self, measure: Measure, bucket: str) -> str:
        """The least value of the measured column in a narrow bucket."""

    @abstractmethod
    def last_of(self, measure: Measure, bucket: str) -> str:
        """The greatest value of the measured column in a narrow bucket."""

    @abstractmethod
    def triggers(self, table: str) -> Iterator[str]:
        """Triggers that keep the table's rows counted; made anew each time, as buckets change."""


class SQLiteTally(Tally):
    """Instants are whole numbers already; there is one writer at a time, so one shard."""

    def table(self) -> str:
        return f"{super().table()} WITHOUT ROWID"

    def measured(self, measure: Measure, value: str) -> str:  # noqa: ARG002 - every measure is a whole number here
        return value

    def first_of(self, measure: Measure, bucket: str) -> str:
        return _first_number(measure, bucket)

    def last_of(self, measure: Measure, bucket: str) -> str:
        return _last_number(measure, bucket)

    def triggers(self, table: str) -> Iterator[str]:
        def step(row: str, change: int) -> str:
            counts = ", ".join(
                f"('{table}', '{m.column}', {bits}, {row}.{m.column} >> {bits}, 0, {change})"
                for m, bits in COUNTED
            )
            return (
                f"INSERT INTO row_tally VALUES {counts} "
                "ON CONFLICT DO UPDATE SET n = n + excluded.n;"
            )

        came, went = step("NEW", 1), step("OLD", -1)
        for name, event, steps in (
            ("in", "INSERT", came),
            ("out", "DELETE", went),
            ("move", f"UPDATE OF {', '.join(_COLUMNS)}", f"{went} {came}"),
        ):
            trigger = f"{table}_tally_{name}"
            yield f"DROP TRIGGER IF EXISTS {trigger}"
            yield f"CREATE TRIGGER {trigger} AFTER {event} ON {table} BEGIN {steps} END"


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
        finite = f"least(greatest({microseconds}, {_FIRST_MICROSECOND}), {_LAST_MICROSECOND})"
        return f"CAST({finite} AS BIGINT)"

    def first_of(self, measure: Measure, bucket: str) -> str:
        number = _first_number(measure, bucket)
        if measure is not CREATION:
            return number
        return (
            f"CASE WHEN {number} <= {_FIRST_MICROSECOND} THEN timestamptz '-infinity' "
            f"WHEN {number} > {_LAST_MICROSECOND} THEN timestamptz 'infinity' "
            f"ELSE timestamptz 'epoch' + {number} * interval '1 microsecond' END"
        )

    def last_of(self, measure: Measure, bucket: str) -> str:
        if measure is not CREATION:
            return _last_number(measure, bucket)
        # A step back from the next bucket: an interval is multiplied by a float, and only where
        # a bucket begins is that exact.
        return f"({self.first_of(measure, f'{bucket} + 1')} - interval '1 microsecond')"

    def triggers(self, table: str) -> Iterator[str]:
        numbers = ", ".join(
            f"('{m.column}', {bits}, {self.measured(m, m.column)})" for m, bits in COUNTED
        )

        def step(rows: str, change: int) -> str:
            return (
                "INSERT INTO row_tally SELECT TG_TABLE_NAME, m.name, m.bits, m.number >> m.bits, "
                f"mine, {change} * count(*) FROM {rows}, "
                f"LATERAL (VALUES {numbers}) AS m (name, bits, number) GROUP BY 2, 3, 4 "
                "ON CONFLICT (table_name, measure, bits, bucket, shard) "
                "DO UPDATE SET n = row_tally.n + excluded.n;"
            )

        def one(version: str) -> str:
            return f"(SELECT {', '.join(f'{version}.{name}' for name in _COLUMNS)}) AS one"

        def counting(name: str, *steps: str) -> str:
            return (
                f"CREATE OR REPLACE FUNCTION creditdesk_tally_{name}() RETURNS trigger "
                "LANGUAGE plpgsql AS $$ DECLARE mine bigint := creditdesk_tally_shard(); "
                f"BEGIN {' '.join(steps)} RETURN NULL; END $$"
            )

        yield (
            "CREATE OR REPLACE FUNCTION creditdesk_tally_shard() RETURNS bigint LANGUAGE plpgsql "
            "AS $$ DECLARE mine integer := 0; BEGIN "
            f"WHILE NOT pg_try_advisory_xact_lock({_SHARDS}, mine) LOOP mine := mine + 1; "
            "END LOOP; RETURN mine; END $$"
        )
        yield counting("in", step("came", 1))
        yield counting("out", step("went", -1))
        yield counting("move", step(one("OLD"), -1), step(one("NEW"), 1))
        trigger = f"CREATE OR REPLACE TRIGGER {table}_tally"
        each = "FOR EACH STATEMENT EXECUTE FUNCTION creditdesk_tally"
        yield f"{trigger}_in AFTER INSERT ON {table} REFERENCING NEW TABLE AS came {each}_in()"
        yield f"{trigger}_out AFTER DELETE ON {table} REFERENCING OLD TABLE AS went {each}_out()"
        # By row, as only so does it cost nothing where what is counted did not change.
        changed = " OR ".join(f"OLD.{name} <> NEW.{name}" for name in _COLUMNS)
        yield (
            f"{trigger}_move AFTER UPDATE ON {table} FOR EACH ROW WHEN ({changed}) "
            "EXECUTE FUNCTION creditdesk_tally_move()"
        )


def _first_number(measure: Measure, bucket: str) -> str:
    return f"(({bucket}) << {measure.narrow})"


def _last_number(measure: Measure, bucket: str) -> str:
    return f"((({bucket}) << {measure.narrow}) + {2**measure.narrow - 1})"
