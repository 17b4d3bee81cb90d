"""A part of a text, asked of the texts there are first, and from there of the few rows that show one.

A lent text is asked of whoever lends it; a row's own, of the different ones that rows have. Both are
far fewer than the rows, and no index finds a part of a text. Writes SQL text from declared names and
placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.fields import Reference, Text
from creditdesk.schema.query import Filter, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import folded_name, snake, table_name

MOST: Final = 10_000
"""Where more lenders hold a text, there are more texts, or more rows show one, rows are walked and
compared.
"""


class Reach(NamedTuple):
    """The rows that a part of a text may be in: questions to put first, the test that a row (its
    alias is t) is one of them, and whether they are few. Where they are not, no row passes.
    """

    questions: str
    test: str
    few: str


def part_of_text(filters: Sequence[Filter]) -> Filter | None:
    """The first filter by a part of a text that an index holds, one that is lent before one of the
    row's own; None where there is no such filter.
    """
    asked = [
        each
        for each in filters
        if each.test is Test.CONTAINS
        and isinstance(each.column.kind, Text)
        and (each.column.indexed or each.column.kind.sparse)
    ]
    return min(asked, key=lambda each: each.column.own, default=None)


def reach(column: Column, mark: str, dialect: Dialect) -> Reach:
    """How the rows are reached whose value of this column may hold the text of a placeholder."""
    table = table_name(column.entity)
    if column.own:
        asked, held = f"t.{folded_name(column)}", f" AND {dialect.contains('which', mark)}"
        lending = _texts(table, folded_name(column))
    else:
        asked, held = f"t.{snake(f'{column.path[0]}Id')}", ""
        lending = f"{_lenders(column, mark, dialect)} LIMIT {MOST + 1}"
    shown = dialect.among(asked, "SELECT which FROM lenders")
    lent, few = (f"(SELECT count(*) <= {MOST} FROM {name})" for name in ("lending", "shown"))
    return Reach(
        f"lending (which) AS MATERIALIZED ({lending}), "
        f"lenders AS MATERIALIZED (SELECT which FROM lending WHERE {lent}{held}), "
        f"shown AS MATERIALIZED (SELECT t.id FROM {table} AS t WHERE {shown} LIMIT {MOST + 1}), "
        f"reached AS MATERIALIZED (SELECT id FROM shown WHERE {few}), ",
        "t.id IN (SELECT id FROM reached)",
        f"({lent} AND {few})",
    )


def _texts(table: str, column: str) -> str:
    """The different texts of a column, each found by the index from the one before."""
    following = f"(SELECT min({column}) FROM {table} WHERE {column} > texts.which)"
    return (
        f"WITH RECURSIVE texts (which) AS ("
        f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT {following} FROM texts WHERE which IS NOT NULL) "
        f"SELECT which FROM texts LIMIT {MOST + 1}"
    )


def _lenders(column: Column, mark: str, dialect: Dialect) -> str:
    """The ids that the first reference of the way names, found from the far end of it."""
    way: list[type[Entity]] = [column.entity]
    for relation in column.path:
        field = way[-1].fields[relation]
        assert isinstance(field, Reference)
        way.append(entity_named(field.to))
    text = folded_name(way[-1].shape().columns[column.leaf])
    question = (
        f"SELECT s.id FROM {table_name(way[-1])} AS s WHERE {dialect.contains(f's.{text}', mark)}"
    )
    for entity, relation in zip(way[-2:0:-1], column.path[:0:-1], strict=True):
        linked = dialect.among(f"s.{snake(f'{relation}Id')}", question)
        question = f"SELECT s.id FROM {table_name(entity)} AS s WHERE {linked}"
    return question
