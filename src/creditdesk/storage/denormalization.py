"""Denormalized values: SQL that fills them, keeps them current and finds stale ones (decision 6).

A value is copied only from the directly referenced row, which has its own copies of values further away. So each
copy has one source row, and only that row is locked while the copy is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Reference
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.naming import (
    casefolded_name,
    column_name,
    is_casefolded,
    shortened_name,
    snake_case,
    table_name,
)


@dataclass(frozen=True, slots=True)
class Denormalization:
    """What rows of `table` copy along one reference: `columns` from `source_columns`."""

    table: str
    reference_column: str
    source_table: str
    columns: tuple[str, ...]
    source_columns: tuple[str, ...]


def denormalizations(entity: type[Entity]) -> tuple[Denormalization, ...]:
    """The columns that an entity copies, by reference."""
    return _by_reference(entity, entity.meta().denormalized_columns)


def _by_reference(entity: type[Entity], columns: Iterable[Column]) -> tuple[Denormalization, ...]:
    groups: dict[str, list[Column]] = {}
    for column in columns:
        groups.setdefault(column.path[0], []).append(column)
    found: list[Denormalization] = []
    for relation, members in groups.items():
        pairs = [pair for column in members for pair in denormalized_pairs(column)]
        found.append(
            Denormalization(
                table_name(entity),
                snake_case(f"{relation}Id"),
                table_name(_referenced_entity(members[0])),
                tuple(own for own, _ in pairs),
                tuple(origin for _, origin in pairs),
            )
        )
    return tuple(found)


def denormalized_pairs(column: Column) -> Iterator[tuple[str, str]]:
    """The table columns of a denormalized column, each with the source column that it copies."""
    origin = _source_column(column)
    yield column_name(column), column_name(origin)
    if is_casefolded(column):
        yield casefolded_name(column), casefolded_name(origin)


def _source_column(column: Column) -> Column:
    """The column of the referenced row that is copied: its own value, a reference, or a copy."""
    meta = _referenced_entity(column).meta()
    rest = column.path[1:]
    if not rest:
        return meta.columns[column.leaf]
    if len(rest) == 1 and column.leaf == "Id":
        return meta.columns[f"{rest[0]}Id"]
    for each in meta.denormalized_columns:
        if (each.path, each.leaf) == (rest, column.leaf):
            return each
    way = ".".join((*rest, column.leaf))
    raise TypeError(f"{column.entity.__name__} copies {column.name}, so {meta.entity.__name__} "
                    f"must copy {way}")  # fmt: skip


def _referenced_entity(column: Column) -> type[Entity]:
    field = column.entity.fields[column.path[0]]
    assert isinstance(field, Reference)
    return entity_by_name(field.to)


def backfill_statements(entities: Sequence[type[Entity]]) -> Iterator[tuple[str, str]]:
    """Tables, and the statements that fill the copies of their rows, sources first."""
    deepest = max((len(c.path) for e in entities for c in e.meta().denormalized_columns), default=0)
    for depth in range(1, deepest + 1):
        for entity in entities:
            near = [c for c in entity.meta().denormalized_columns if len(c.path) == depth]
            if near:
                sets = ", ".join(
                    _assignment(each, f"{each.table}.{each.reference_column}") for each in _by_reference(entity, near)
                )
                yield table_name(entity), f"UPDATE {table_name(entity)} SET {sets}"


def denormalization_triggers(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """Triggers that update copies with their source, and reject any other change of them."""
    for entity in entities:
        for each in denormalizations(entity):
            name = _trigger_name(each)
            moved = _changed(each.source_columns, dialect)
            follow = _propagate(each, dialect)
            yield from dialect.row_trigger(
                f"{name}_follow", f"AFTER UPDATE OF {', '.join(each.source_columns)}", each.source_table, moved, follow
            )
            yield from dialect.deferred_trigger(f"{name}_late", each.source_table, each.source_columns, moved, follow)
            # The foreign key was checked before, and holds a lock on the source.
            assignment = _assignment(each, f"NEW.{each.reference_column}")
            yield from dialect.row_trigger(
                f"{name}_anew", f"AFTER UPDATE OF {each.reference_column}", each.table,
                _changed((each.reference_column,), dialect),
                f"UPDATE {each.table} SET {assignment} WHERE id = NEW.id;",
            )  # fmt: skip
            yield from dialect.row_trigger(
                f"{name}_true", f"BEFORE UPDATE OF {', '.join(each.columns)}", each.table,
                _changed(each.columns, dialect),
                dialect.trigger_error(
                    f"{each.table} copies only what {each.source_table} holds",
                    _stale_condition(each, "NEW", f"NEW.{each.reference_column}", dialect),
                ),
            )  # fmt: skip


def insert_triggers(entity: type[Entity], dialect: Dialect) -> Iterator[tuple[str, list[str]]]:
    """Triggers, by name, that fill the copies in rows inserted by programs that do not know all of them."""
    for each in denormalizations(entity):
        source_id = f"NEW.{each.reference_column}"
        # As for `_anew`, the foreign key was checked before, and holds a lock on the source.
        fill = (
            f"UPDATE {each.table} SET {_assignment(each, source_id)} "
            f"WHERE id = NEW.id AND ({_stale_condition(each, each.table, source_id, dialect)});"
        )
        name = f"{_trigger_name(each)}_fill"
        yield name, dialect.row_trigger(name, "AFTER INSERT", each.table, f"{source_id} IS NOT NULL", fill)


def stale_query(entity: type[Entity], dialect: Dialect) -> Fragment:
    """A query for the ids of records with a stale value; its arguments are the id to start after, and a limit.

    Each row also has a boolean for each denormalized column.
    """
    groups = denormalizations(entity)
    alias = {each.reference_column: f"s{number}" for number, each in enumerate(groups)}
    joins = "".join(
        f" LEFT JOIN {each.source_table} AS {alias[each.reference_column]}"
        f" ON {alias[each.reference_column]}.id = t.{each.reference_column}"
        for each in groups
    )
    differing = [
        " OR ".join(
            dialect.is_distinct(f"t.{own}", f"{alias[snake_case(f'{column.path[0]}Id')]}.{source}")
            for own, source in denormalized_pairs(column)
        )
        for column in entity.meta().denormalized_columns
    ]
    after_id, limit = Parameter("after_id", 0), Parameter("limit", 1)
    return Fragment(
        f"SELECT t.id, {', '.join(differing)} FROM {table_name(entity)} AS t{joins} "
        f"WHERE t.id > {after_id} AND ({' OR '.join(differing)}) ORDER BY t.id LIMIT {limit}",
        (after_id, limit),
    )


def _trigger_name(each: Denormalization) -> str:
    return shortened_name(f"{each.table}_{each.reference_column}", "_follow")


def _propagate(each: Denormalization, dialect: Dialect) -> str:
    # Locks rows in id order, so that two updates of the same rows do not deadlock.
    return (
        f"UPDATE {each.table} SET {_assignment(each, 'NEW.id')} WHERE id IN ("
        f"SELECT t.id FROM {each.table} AS t WHERE t.{each.reference_column} = NEW.id "
        f"AND ({_stale_condition(each, 't', 'NEW.id', dialect)}) ORDER BY t.id{dialect.lock_clause()});"
    )


def _assignment(each: Denormalization, source_id: str) -> str:
    origins = ", ".join(f"s.{origin}" for origin in each.source_columns)
    return f"({', '.join(each.columns)}) = (SELECT {origins} FROM {each.source_table} AS s WHERE s.id = {source_id})"


def _stale_condition(each: Denormalization, row: str, source_id: str, dialect: Dialect) -> str:
    return " OR ".join(
        dialect.is_distinct(
            f"{row}.{column}",
            f"(SELECT s.{origin} FROM {each.source_table} AS s WHERE s.id = {source_id})",
        )
        for column, origin in zip(each.columns, each.source_columns, strict=True)
    )


def _changed(columns: Sequence[str], dialect: Dialect) -> str:
    return " OR ".join(dialect.is_distinct(f"OLD.{c}", f"NEW.{c}") for c in columns)
