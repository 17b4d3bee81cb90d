"""In which order entities come in, and which of their references can only be set afterwards.

Derived from the declarations alone; it must not know files or stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from creditdesk.entities.catalog import SERVED
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Collection, Reference

CARRIED: Final = tuple(entity for entity in SERVED if entity is not JournalLine)
"""What files carry. The journal is not among them: it is opened anew from credits and uses."""


def references(entity: type[Entity]) -> tuple[Column, ...]:
    """The columns that refer to a record the product keeps."""
    return tuple(c for c in entity.shape().stored if isinstance(c.kind, Reference) and c.kind.kept)


def collections(entity: type[Entity]) -> tuple[Column, ...]:
    """The collections of records, kept ones and others."""
    return entity.shape().collections


def two_sided(entity: type[Entity]) -> frozenset[str]:
    """The collections that another entity shows from its side."""
    mirrored = {
        (c.kind.of, c.kind.mirrors)
        for other in CARRIED
        for c in collections(other)
        if isinstance(c.kind, Collection)
    }
    return frozenset(
        c.name
        for c in collections(entity)
        if isinstance(c.kind, Collection)
        and (c.kind.mirrors or (entity.__name__, c.name) in mirrored)
    )


def loading_order(entities: Iterable[type[Entity]] = CARRIED) -> tuple[type[Entity], ...]:
    """Every entity after those it refers to; in a circle, after those it requires."""
    named = {entity.__name__: entity for entity in entities}
    placed: dict[str, type[Entity]] = {}
    open_: set[str] = set()

    def place(name: str) -> None:
        if name in placed or name in open_ or name not in named:
            return
        open_.add(name)
        for column in sorted(references(named[name]), key=lambda c: not c.kind.required):
            assert isinstance(column.kind, Reference)
            place(column.kind.to)
        placed[name] = named[name]

    for name in named:
        place(name)
    return tuple(placed.values())


def late_references(entity: type[Entity]) -> frozenset[str]:
    """The references whose records come in with the entity itself or after it."""
    here = _PLACES[entity.__name__]
    return frozenset(
        c.name
        for c in references(entity)
        if isinstance(c.kind, Reference) and _PLACES[c.kind.to] >= here
    )


_PLACES: Final = {entity.__name__: place for place, entity in enumerate(loading_order())}
