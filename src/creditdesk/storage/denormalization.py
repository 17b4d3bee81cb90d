"""Lent values that stand in the row itself: what fills them, keeps them true and tells untrue ones.

A copy is made from the row that a reference names, never from further away: that row copies in
its turn. So a copy is true when it equals one other row, and that row alone is held while the
copy is made. Writes SQL text; runs nothing and knows no engine (docs/decisions/0006).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from creditdesk.schema.entity import Column, Entity, entity_named
from creditdesk.schema.fields import Reference
from creditdesk.storage.dialects import Dialect
from creditdesk.storage.naming import column_name, fitted, folded_name, is_folded, snake, table_name


@dataclass(frozen=True, slots=True)
class Copies:
    """What the rows of a table copy along one reference: `columns` from the source's `origins`."""

    table: str
    link: str
    source: str
    columns: tuple[str, ...]
    origins: tuple[str, ...]


def copies(entity: type[Entity]) -> tuple[Copies, ...]:
    """What an entity copies, one value for each of its references."""
    return _along_references(entity, entity.shape().copied)


def _along_references(entity: type[Entity], columns: Iterable[Column]) -> tuple[Copies, ...]:
    groups: dict[str, list[Column]] = {}
    for column in columns:
        groups.setdefault(column.path[0], []).append(column)
    found: list[Copies] = []
    for relation, members in groups.items():
        pairs = [pair for column in members for pair in copied_pairs(column)]
        found.append(
            Copies(
                table_name(entity),
                snake(f"{relation}Id"),
                table_name(_referred(members[0])),
                tuple(own for own, _ in pairs),
                tuple(origin for _, origin in pairs),
            )
        )
    return tuple(found)


def copied_pairs(column: Column) -> Iterator[tuple[str, str]]:
    """The table columns that hold a copy, each with the source's column it is copied from."""
    origin = _origin(column)
    yield column_name(column), column_name(origin)
    if is_folded(column):
        yield folded_name(column), folded_name(origin)


def _origin(column: Column) -> Column:
    """What the referred row itself holds of a lent column: its own value, a link, or a copy."""
    shape = _referred(column).shape()
    rest = column.path[1:]
    if not rest:
        return shape.columns[column.leaf]
    if len(rest) == 1 and column.leaf == "Id":
        return shape.columns[f"{rest[0]}Id"]
    for each in shape.copied:
        if (each.path, each.leaf) == (rest, column.leaf):
            return each
    way = ".".join((*rest, column.leaf))
    raise TypeError(f"{column.entity.__name__} copies {column.name}, so {shape.entity.__name__} "
                    f"must copy {way}")  # fmt: skip


def _referred(column: Column) -> type[Entity]:
    field = column.entity.fields[column.path[0]]
    assert isinstance(field, Reference)
    return entity_named(field.to)


def fills(entities: Sequence[type[Entity]]) -> Iterator[str]:
    """Statements that fill every copy of rows that are there, sources before what copies them."""
    deepest = max((len(c.path) for e in entities for c in e.shape().copied), default=0)
    for depth in range(1, deepest + 1):
        for entity in entities:
            near = [c for c in entity.shape().copied if len(c.path) == depth]
            if near:
                sets = ", ".join(
                    _set(each, f"{each.table}.{each.link}")
                    for each in _along_references(entity, near)
                )
                yield f"UPDATE {table_name(entity)} SET {sets}"


def triggers(entities: Iterable[type[Entity]], dialect: Dialect) -> Iterator[str]:
    """What keeps copies true: they follow their source, and take nothing but what it holds."""
    for entity in entities:
        for each in copies(entity):
            name = fitted(f"{each.table}_{each.link}", "_follow")
            moved = _moved(each.origins, dialect)
            follow = _follow(each, dialect)
            yield from dialect.trigger(
                f"{name}_follow", "AFTER", each.source, each.origins, moved, follow
            )
            yield from dialect.late_trigger(
                f"{name}_late", each.source, each.origins, moved, follow
            )
            # The check of the reference has come first, and holds the source.
            anew = _set(each, f"NEW.{each.link}")
            yield from dialect.trigger(
                f"{name}_anew", "AFTER", each.table, (each.link,), _moved((each.link,), dialect),
                f"UPDATE {each.table} SET {anew} WHERE id = NEW.id;",
            )  # fmt: skip
            yield from dialect.trigger(
                f"{name}_true", "BEFORE", each.table, each.columns, _moved(each.columns, dialect),
                dialect.refusal(
                    f"{each.table} copies only what {each.source} holds",
                    _untrue(each, "NEW", f"NEW.{each.link}", dialect),
                ),
            )  # fmt: skip


def untrue(entity: type[Entity], dialect: Dialect) -> str:
    """The ids after a given one of records with a copy that differs from what it copies, and for
    each copied column whether it is one of those; at most so many records.
    """
    groups = copies(entity)
    alias = {each.link: f"s{number}" for number, each in enumerate(groups)}
    joins = "".join(
        f" LEFT JOIN {each.source} AS {alias[each.link]} ON {alias[each.link]}.id = t.{each.link}"
        for each in groups
    )
    differing = [
        " OR ".join(
            dialect.differs(f"t.{own}", f"{alias[snake(f'{column.path[0]}Id')]}.{origin}")
            for own, origin in copied_pairs(column)
        )
        for column in entity.shape().copied
    ]
    return (
        f"SELECT t.id, {', '.join(differing)} FROM {table_name(entity)} AS t{joins} "
        f"WHERE t.id > {dialect.mark(1)} AND ({' OR '.join(differing)}) "
        f"ORDER BY t.id LIMIT {dialect.mark(2)}"
    )


def _follow(each: Copies, dialect: Dialect) -> str:
    # Locked in id order, so that two that change the same rows do not wait for one another.
    return (
        f"UPDATE {each.table} SET {_set(each, 'NEW.id')} WHERE id IN ("
        f"SELECT t.id FROM {each.table} AS t WHERE t.{each.link} = NEW.id "
        f"AND ({_untrue(each, 't', 'NEW.id', dialect)}) ORDER BY t.id{dialect.locking()});"
    )


def _set(each: Copies, source_id: str) -> str:
    origins = ", ".join(f"s.{origin}" for origin in each.origins)
    return (
        f"({', '.join(each.columns)}) = "
        f"(SELECT {origins} FROM {each.source} AS s WHERE s.id = {source_id})"
    )


def _untrue(each: Copies, row: str, source_id: str, dialect: Dialect) -> str:
    return " OR ".join(
        dialect.differs(
            f"{row}.{column}",
            f"(SELECT s.{origin} FROM {each.source} AS s WHERE s.id = {source_id})",
        )
        for column, origin in zip(each.columns, each.origins, strict=True)
    )


def _moved(columns: Sequence[str], dialect: Dialect) -> str:
    return " OR ".join(dialect.differs(f"OLD.{c}", f"NEW.{c}") for c in columns)
