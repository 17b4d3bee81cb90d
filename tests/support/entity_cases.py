"""What the tests of every entity share."""

from __future__ import annotations

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Collection
from tests.support.record_builder import entities_with_verb

USES = {"CoworkerBookingCreditUseHistory", "CoworkerExtraServiceUseHistory"}
creatable = [e for e in entities_with_verb(PUBLIC_ENTITIES, "create") if e.__name__ not in USES]


def whole_names(entity: type[Entity]) -> list[str]:
    """The keys of a full record, in order."""
    names = []
    for column in entity.meta().columns.values():
        if column.visible:
            names.append(column.name)
            if isinstance(column.field, Collection) and column.field.delta_fields:
                names += [f"Added{column.name}", f"Removed{column.name}"]
    return names
