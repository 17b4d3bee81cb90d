"""A part of a text, asked of the texts there are first, and from there of the few rows that show one.

A lent text is asked of whoever lends it; a row's own, of the different ones that rows have. Both are
far fewer than the rows, and no index finds a part of a text. Writes SQL text from declared names and
placeholders only; runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Reference, Text
from creditdesk.schema.query import Comparison, Filter
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import casefolded_name, snake_case, table_name

MAX_CANDIDATES: Final = 10_000
"""Where more lenders hold a text, there are more texts, or more rows show one, rows are walked and
compared.
"""


class SubstringMatch(NamedTuple):
    """The rows that a part of a text may be in: questions to put first, the test that a row (its
    alias is t) is one of them, and whether they are few. Where they are not, no row passes.
    """

    ctes: str
    predicate: str
    is_selective: str


def substring_filter(filters: Sequence[Filter]) -> Filter | None:
    """The first filter by a part of a text that an index holds, one that is lent before one of the
    row's own; None where there is no such filter.
    """
    asked = [
        each
        for each in filters
        if each.comparison is Comparison.CONTAINS
        and isinstance(each.column.field, Text)
        and (each.column.indexed or each.column.field.partial_index)
    ]
    return min(asked, key=lambda each: each.column.is_own, default=None)


def substring_match(column: Column, placeholder: str, dialect: Dialect) -> SubstringMatch:
    """How the rows are reached whose value of this column may hold the text of a placeholder."""
    table = table_name(column.entity)
    if column.is_own:
        asked, held = (
            f"t.{casefolded_name(column)}",
            f" AND {dialect.contains('which', placeholder)}",
        )
        lending = _distinct_texts(table, casefolded_name(column))
    else:
        asked, held = f"t.{snake_case(f'{column.path[0]}Id')}", ""
        lending = f"{_matching_sources(column, placeholder, dialect)} LIMIT {MAX_CANDIDATES + 1}"
    shown = dialect.in_subquery(asked, "SELECT which FROM lenders")
    lent, few = (
        f"(SELECT count(*) <= {MAX_CANDIDATES} FROM {name})" for name in ("lending", "shown")
    )
    return SubstringMatch(
        f"lending (which) AS MATERIALIZED ({lending}), "
        f"lenders AS MATERIALIZED (SELECT which FROM lending WHERE {lent}{held}), "
        f"shown AS MATERIALIZED (SELECT t.id FROM {table} AS t WHERE {shown} LIMIT {MAX_CANDIDATES + 1}), "
        f"reached AS MATERIALIZED (SELECT id FROM shown WHERE {few}), ",
        "t.id IN (SELECT id FROM reached)",
        f"({lent} AND {few})",
    )


def _distinct_texts(table: str, column: str) -> str:
    """The different texts of a column, each found by the index from the one before."""
    following = f"(SELECT min({column}) FROM {table} WHERE {column} > texts.which)"
    return (
        f"WITH RECURSIVE texts (which) AS ("
        f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT {following} FROM texts WHERE which IS NOT NULL) "
        f"SELECT which FROM texts LIMIT {MAX_CANDIDATES + 1}"
    )


def _matching_sources(column: Column, placeholder: str, dialect: Dialect) -> str:
    """The ids that the first reference of the way names, found from the far end of it."""
    entities: list[type[Entity]] = [column.entity]
    for relation in column.path:
        field = entities[-1].fields[relation]
        assert isinstance(field, Reference)
        entities.append(entity_by_name(field.to))
    text = casefolded_name(entities[-1].meta().columns[column.leaf])
    subquery = f"SELECT s.id FROM {table_name(entities[-1])} AS s WHERE {dialect.contains(f's.{text}', placeholder)}"
    for entity, relation in zip(entities[-2:0:-1], column.path[:0:-1], strict=True):
        linked = dialect.in_subquery(f"s.{snake_case(f'{relation}Id')}", subquery)
        subquery = f"SELECT s.id FROM {table_name(entity)} AS s WHERE {linked}"
    return subquery
