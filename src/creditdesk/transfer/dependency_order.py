"""In which order entities come in, and which of their references can only be set afterwards.

Derived from the declarations alone; it must not know files or stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Collection, Reference

TRANSFERRED: Final = tuple(entity for entity in PUBLIC_ENTITIES if entity is not JournalLine)
"""What files carry. The journal is not among them: it is opened anew from credits and uses."""


def reference_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The columns that refer to a record the product keeps."""
    return tuple(
        c
        for c in entity.meta().stored_columns
        if isinstance(c.field, Reference) and c.field.is_local
    )


def collection_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The collections of records, kept ones and others."""
    return entity.meta().collection_columns


def bidirectional_collections(entity: type[Entity]) -> frozenset[str]:
    """The collections that another entity shows from its side."""
    mirrored = {
        (c.field.of, c.field.inverse_of)
        for other in TRANSFERRED
        for c in collection_columns(other)
        if isinstance(c.field, Collection)
    }
    return frozenset(
        c.name
        for c in collection_columns(entity)
        if isinstance(c.field, Collection)
        and (c.field.inverse_of or (entity.__name__, c.name) in mirrored)
    )


def load_order(entities: Iterable[type[Entity]] = TRANSFERRED) -> tuple[type[Entity], ...]:
    """Every entity after those it refers to; in a circle, after those it requires."""
    named = {entity.__name__: entity for entity in entities}
    placed: dict[str, type[Entity]] = {}
    visiting: set[str] = set()

    def place(name: str) -> None:
        if name in placed or name in visiting or name not in named:
            return
        visiting.add(name)
        for column in sorted(reference_columns(named[name]), key=lambda c: not c.field.required):
            assert isinstance(column.field, Reference)
            place(column.field.to)
        placed[name] = named[name]

    for name in named:
        place(name)
    return tuple(placed.values())


def deferred_references(entity: type[Entity]) -> frozenset[str]:
    """The references whose records come in with the entity itself or after it."""
    here = _POSITIONS[entity.__name__]
    return frozenset(
        c.name
        for c in reference_columns(entity)
        if isinstance(c.field, Reference) and _POSITIONS[c.field.to] >= here
    )


_POSITIONS: Final = {entity.__name__: place for place, entity in enumerate(load_order())}
