"""INSERT and UPDATE of encoded rows: SQLite executes them row by row, PostgreSQL many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.row_encoding import EncodedRows


def insert_row(rows: EncodedRows) -> Fragment:
    """INSERT of one row with its denormalized values; the arguments are the row's values."""
    parameters = _row_parameters(rows)
    names, values, joins = _source_values(rows, lambda column: f":{column}")
    names = [*(each.name for each in parameters), *names]
    values = [*(str(each) for each in parameters), *values]
    return Fragment(
        f"INSERT INTO {rows.table} ({', '.join(names)}) SELECT {', '.join(values)} FROM (SELECT 1){joins}",
        parameters,
    )


def update_row(rows: EncodedRows) -> Fragment:
    """UPDATE of one row by its id, which is the first of the arguments."""
    parameters = _row_parameters(rows)
    sets = ", ".join(f"{each.name} = {each}" for each in parameters[1:])
    return Fragment(f"UPDATE {rows.table} SET {sets} WHERE id = {parameters[0]}", parameters)


def _row_parameters(rows: EncodedRows) -> tuple[Parameter, ...]:
    return tuple(Parameter(column.name, i) for i, column in enumerate(rows.columns))


def insert_many(rows: EncodedRows, argument: int = 0, *, new_ids: bool = False) -> Fragment:
    """INSERT of any number of rows with their denormalized values.

    The argument at this position is the rows. With `new_ids` the database assigns their ids.
    """
    key, next_id = ("id, ", f"nextval('{rows.table}_ids'), ") if new_ids else ("", "")
    given = _given_rows(rows, argument)
    own = ", ".join(column.name for column in rows.columns)
    names, values, joins = _source_values(rows, lambda column: f"v.{column}")
    return Fragment(
        f"INSERT INTO {rows.table} ({', '.join((key + own, *names))}) "
        f"SELECT {', '.join((next_id + 'v.*', *values))} FROM {given.text} AS v ({own}){joins}",
        given.parameters,
    )


def update_many(rows: EncodedRows, argument: int = 0) -> Fragment:
    """UPDATE of any number of rows by their ids, which are the first column; the argument is the rows."""
    given = _given_rows(rows, argument)
    names = [column.name for column in rows.columns]
    sets = ", ".join(f"{name} = v.{name}" for name in names[1:])
    return Fragment(
        f"UPDATE {rows.table} AS t SET {sets} FROM {given.text} AS v ({', '.join(names)}) WHERE t.id = v.id",
        given.parameters,
    )


def _given_rows(rows: EncodedRows, argument: int) -> Fragment:
    """The rows as a table: one array for each column; of a single row its values, which cost half as much."""
    single = rows.is_single

    def column_values(position: int, name: str, sql_type: str) -> Fragment:
        def values(each: EncodedRows) -> Any:
            return each.values[position][0] if single else each.values[position]

        parameter = Parameter(f"rows_{argument}_{name}", argument, values)
        return Fragment(f"{parameter}::{sql_type}{'' if single else '[]'}", (parameter,))

    listed = Fragment.join(", ", (column_values(i, c.name, c.sql_type) for i, c in enumerate(rows.columns)))
    opening = "(SELECT " if single else "unnest("
    return Fragment(opening) + listed + Fragment(")")


def _source_values(rows: EncodedRows, reference: Callable[[str], str]) -> tuple[Sequence[str], Sequence[str], str]:
    """Denormalized columns, their values, and the joins to the rows that they are copied from."""
    names: list[str] = []
    values: list[str] = []
    joins = ""
    for number, each in enumerate(rows.denormalized):
        source = f"s{number}"
        names += each.columns
        values += [f"{source}.{column}" for column in each.source_columns]
        joins += f" LEFT JOIN {each.source_table} AS {source} ON {source}.id = {reference(each.reference_column)}"
    return names, values, joins
