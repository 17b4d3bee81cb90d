"""Substring filters without a scan of the rows.

No index finds a substring, but distinct texts are far fewer than rows. An embedded text is searched in
the table that it is embedded from, a row's own text among the distinct values of its index; the index
then finds the rows of the matches. Where texts or rows are too many, the rows are scanned.
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
"""With more matching texts, or more rows that have one, the rows are scanned."""


class SubstringMatch(NamedTuple):
    """SQL that narrows a query to rows that contain a text.

    `ctes` come first; `predicate` tests a row with the alias t, and holds for none where there are too
    many candidates; `is_selective` says whether that is not so.
    """

    ctes: str
    predicate: str
    is_selective: str


def substring_filter(filters: Sequence[Filter]) -> Filter | None:
    """The first substring filter on an indexed text, an embedded one before the row's own."""
    candidates = [
        each
        for each in filters
        if each.comparison is Comparison.CONTAINS
        and isinstance(each.column.field, Text)
        and (each.column.indexed or each.column.field.partial_index)
    ]
    return min(candidates, key=lambda each: each.column.is_own, default=None)


def substring_match(column: Column, placeholder: str, dialect: Dialect) -> SubstringMatch:
    """SQL for rows whose column contains the bound text."""
    table = table_name(column.entity)
    if column.is_own:
        searched = f"t.{casefolded_name(column)}"
        contains = f" AND {dialect.contains('value', placeholder)}"
        candidates = _distinct_texts(table, casefolded_name(column))
    else:
        searched, contains = f"t.{snake_case(f'{column.path[0]}Id')}", ""
        candidates = f"{_matching_sources(column, placeholder, dialect)} LIMIT {MAX_CANDIDATES + 1}"
    is_match = dialect.in_subquery(searched, "SELECT value FROM matching")
    few_candidates, few_rows = (
        f"(SELECT count(*) <= {MAX_CANDIDATES} FROM {name})" for name in ("candidates", "matched_rows")
    )
    return SubstringMatch(
        f"candidates (value) AS MATERIALIZED ({candidates}), "
        f"matching AS MATERIALIZED (SELECT value FROM candidates WHERE {few_candidates}{contains}), "
        f"matched_rows AS MATERIALIZED ("
        f"SELECT t.id FROM {table} AS t WHERE {is_match} LIMIT {MAX_CANDIDATES + 1}), "
        f"selected AS MATERIALIZED (SELECT id FROM matched_rows WHERE {few_rows}), ",
        "t.id IN (SELECT id FROM selected)",
        f"({few_candidates} AND {few_rows})",
    )


def _distinct_texts(table: str, column: str) -> str:
    """The distinct texts of a column, each found by the index from the one before it."""
    following = f"(SELECT min({column}) FROM {table} WHERE {column} > texts.value)"
    return (
        f"WITH RECURSIVE texts (value) AS ("
        f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL "
        f"UNION ALL SELECT {following} FROM texts WHERE value IS NOT NULL) "
        f"SELECT value FROM texts LIMIT {MAX_CANDIDATES + 1}"
    )


def _matching_sources(column: Column, placeholder: str, dialect: Dialect) -> str:
    """Ids that the first reference of the path may have, found from the far end of the path."""
    entities: list[type[Entity]] = [column.entity]
    for relation in column.path:
        field = entities[-1].fields[relation]
        assert isinstance(field, Reference)
        entities.append(entity_by_name(field.to))
    text = casefolded_name(entities[-1].meta().columns[column.leaf])
    contains = dialect.contains(f"s.{text}", placeholder)
    subquery = f"SELECT s.id FROM {table_name(entities[-1])} AS s WHERE {contains}"
    for entity, relation in zip(entities[-2:0:-1], column.path[:0:-1], strict=True):
        linked = dialect.in_subquery(f"s.{snake_case(f'{relation}Id')}", subquery)
        subquery = f"SELECT s.id FROM {table_name(entity)} AS s WHERE {linked}"
    return subquery
