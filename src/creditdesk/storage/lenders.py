"""A part of a lent text, asked of whoever lends it first, and from there of the few who show it.

Lenders are far fewer than the rows that copy from them, and references are indexed, while no index
finds a part of a text. Writes SQL text from declared names and placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.kinds import Reference, Text
from creditdesk.schema.listing import Filter, Test
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import folded_name, snake, table_name

MOST: Final = 10_000
"""Where more lenders hold a text, or more rows show one of these, rows are walked and compared."""


class Reach(NamedTuple):
    """The rows that a part of a lent text may be in: questions to put first, the test that a row
    (its alias is t) is one of them, and whether they are few. Where they are not, no row passes.
    """

    questions: str
    test: str
    few: str


def lent_text(filters: Sequence[Filter]) -> Filter | None:
    """The first filter by a part of a text that is lent and copied to be found, if there is any."""
    for each in filters:
        column = each.column
        if each.test is Test.CONTAINS and column.indexed and column.path:
            assert isinstance(column.kind, Text)
            return each
    return None


def reach(column: Column, mark: str, dialect: Dialect) -> Reach:
    """How the rows are reached whose copy of this column may hold the text of a placeholder."""
    table, link = table_name(column.entity), snake(f"{column.path[0]}Id")
    shown = dialect.among(f"t.{link}", "SELECT id FROM lenders")
    lent, few = (f"(SELECT count(*) <= {MOST} FROM {name})" for name in ("lending", "shown"))
    return Reach(
        f"lending AS MATERIALIZED ({_lenders(column, mark, dialect)} LIMIT {MOST + 1}), "
        f"lenders AS MATERIALIZED (SELECT id FROM lending WHERE {lent}), "
        f"shown AS MATERIALIZED (SELECT t.id FROM {table} AS t WHERE {shown} LIMIT {MOST + 1}), "
        f"reached AS MATERIALIZED (SELECT id FROM shown WHERE {few}), ",
        "t.id IN (SELECT id FROM reached)",
        f"({lent} AND {few})",
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
