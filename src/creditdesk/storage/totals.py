"""Totals that need no walk over the rows: counts kept by day, plus the edges of a range.

Writes SQL text from declared names and placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.schema.entity import Entity
from creditdesk.schema.listing import Filter, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import table_name


def tallied_total(entity: type[Entity], filters: Sequence[Filter], dialect: Dialect) -> str | None:
    """The number that match, from the tally; None where the rows themselves must be counted.

    Whole days come from the tally; with a range of CreatedOn the days at its two ends are
    counted row by row. The tally moves with the rows in one transaction, so both agree.
    """
    if not entity.tallied or any(f.column.name != "CreatedOn" for f in filters):
        return None
    if len(filters) > 2 or len({f.test for f in filters}) < len(filters):
        return None
    marks = {f.test: dialect.mark(i) for i, f in enumerate(filters, 1)}
    if not marks.keys() <= {Test.AT_LEAST, Test.AT_MOST}:
        return None
    table = table_name(entity)
    # A sum of whole numbers is a decimal on PostgreSQL; a total is a whole number.
    summed = "CAST(coalesce(sum(n), 0) AS BIGINT)"
    tally = f"SELECT {summed} FROM row_tally WHERE table_name = '{table}'"
    if not marks:
        return tally
    return _range_total(table, tally, marks.get(Test.AT_LEAST), marks.get(Test.AT_MOST), dialect)


def _range_total(
    table: str, tally: str, low: str | None, high: str | None, dialect: Dialect
) -> str:
    kind = "TIMESTAMPTZ" if dialect.name == "postgresql" else "INTEGER"
    low = low and f"CAST({low} AS {kind})"
    high = high and f"CAST({high} AS {kind})"
    rows = f"(SELECT count(*) FROM {table} WHERE "
    inside = f" AND day > {dialect.day(low)}" if low else ""
    inside += f" AND day < {dialect.day(high)}" if high else ""
    parts = [f"({tally}{inside})"]
    if low and high:
        # A range inside one day must not count that day's rows twice.
        end_of_first = dialect.day_start(f"{dialect.day(low)} + 1")
        start_of_last = dialect.day_start(dialect.day(high))
        parts.append(
            f"{rows}created_on >= {low} AND created_on < {end_of_first} AND created_on <= {high})"
        )
        parts.append(
            f"CASE WHEN {dialect.day(low)} < {dialect.day(high)} THEN "
            f"{rows}created_on >= {start_of_last} AND created_on <= {high}) ELSE 0 END"
        )
    elif low:
        end_of_first = dialect.day_start(f"{dialect.day(low)} + 1")
        parts.append(f"{rows}created_on >= {low} AND created_on < {end_of_first})")
    elif high:
        start_of_last = dialect.day_start(dialect.day(high))
        parts.append(f"{rows}created_on >= {start_of_last} AND created_on <= {high})")
    return "SELECT " + " + ".join(parts)
