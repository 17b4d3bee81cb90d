"""The order in which entities are imported, and the references that are set in a second pass."""

from __future__ import annotations

from typing import Final

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.fields import Collection, Reference

_JOURNAL: Final = (JournalLine, AllocationDocument, Hold, AuditRecord)
TRANSFERRED: Final = tuple(entity for entity in PUBLIC_ENTITIES if entity not in _JOURNAL)
"""The entities of files, without the journal, which an import opens from credits and uses."""
_LIMITED: Final = frozenset(("CoworkerBookingCredit", "TariffBookingCredit", "ProductBookingCredit", "ExtraService"))


def target_of(column: Column) -> type[Entity]:
    """The entity that a reference or collection refers to."""
    field = column.field
    assert isinstance(field, Reference | Collection)
    return entity_by_name(field.to if isinstance(field, Reference) else field.of)


def reference_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The references to stored entities."""
    return tuple(c for c in entity.meta().stored_columns if isinstance(c.field, Reference) and c.field.is_local)


def collection_columns(entity: type[Entity]) -> tuple[Column, ...]:
    """The collections, of stored and of foreign records."""
    return entity.meta().collection_columns


def bidirectional_collections(entity: type[Entity]) -> frozenset[str]:
    """The collections that another entity shows from its side as well."""
    mirrored = {
        (c.field.of, c.field.inverse_of)
        for other in TRANSFERRED
        for c in collection_columns(other)
        if isinstance(c.field, Collection)
    }
    return frozenset(
        c.name
        for c in collection_columns(entity)
        if isinstance(c.field, Collection) and (c.field.inverse_of or (entity.__name__, c.name) in mirrored)
    )


def required_references(entity: type[Entity]) -> tuple[Column, ...]:
    """The references without which a record is meaningless, such as a credit's owner."""
    return tuple(column for column in reference_columns(entity) if column.field.required)


def limit_collections(entity: type[Entity]) -> tuple[Column, ...]:
    """The collections that limit what a credit pays for; empty means no limit (rule 13)."""
    if entity.__name__ not in _LIMITED:
        return ()
    return tuple(c for c in collection_columns(entity) if isinstance(c.field, Collection) and c.field.of != "Team")


def refers_to_itself(entity: type[Entity]) -> bool:
    """Whether records of the entity refer to each other, so that a row may name one that comes later in its file."""
    return any(
        target_of(column) is entity
        for column in (*reference_columns(entity), *collection_columns(entity))
        if isinstance(column.field, Reference | Collection) and column.field.is_local
    )


def load_order() -> tuple[type[Entity], ...]:
    """Every entity after those it refers to; in a cycle, after those it requires.

    Credits and benefits also come after what their limits list.
    """
    named = {entity.__name__: entity for entity in TRANSFERRED}
    placed: dict[str, type[Entity]] = {}
    visiting: set[str] = set()

    def place(name: str) -> None:
        if name in placed or name in visiting or name not in named:
            return
        visiting.add(name)
        references = sorted(reference_columns(named[name]), key=lambda c: not c.field.required)
        for column in (*references, *limit_collections(named[name])):
            place(target_of(column).__name__)
        placed[name] = named[name]

    for name in named:
        place(name)
    return tuple(placed.values())


def deferred_references(entity: type[Entity]) -> frozenset[str]:
    """The references to the entity itself or to entities imported after it."""
    here = _POSITIONS[entity.__name__]
    return frozenset(
        c.name for c in reference_columns(entity) if isinstance(c.field, Reference) and _POSITIONS[c.field.to] >= here
    )


def deferred_columns(entity: type[Entity]) -> frozenset[str]:
    """The columns of the second pass: deferred references, and collections."""
    return deferred_references(entity) | {column.name for column in collection_columns(entity)}


_POSITIONS: Final = {entity.__name__: place for place, entity in enumerate(load_order())}
