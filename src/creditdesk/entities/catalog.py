"""The catalog of all entities: imported from their folders, and checked on import."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from creditdesk.schema.entity import EVERY_MEMBER, Entity, declared_entities
from creditdesk.schema.fields import Collection, Reference


def _load() -> tuple[type[Entity], ...]:
    here = Path(__file__).parent
    for file in sorted(here.glob("*/*.py")):
        if file.stem != "__init__":
            import_module(f"creditdesk.entities.{file.parent.name}.{file.stem}")
    return declared_entities()


def _check(entities: tuple[type[Entity], ...]) -> None:
    names = {entity.__name__ for entity in entities}
    for entity in entities:
        meta = entity.meta()
        for name, field in entity.fields.items():
            if isinstance(field, Reference) and field.is_local and field.to not in names:
                raise TypeError(f"{entity.__name__}.{name} refers to unknown {field.to}")
            if isinstance(field, Collection) and field.is_local and field.of not in names:
                raise TypeError(f"{entity.__name__}.{name} collects unknown {field.of}")
        owner = None if entity.owner == EVERY_MEMBER else entity.owner
        for column in (entity.order, entity.label, entity.scope, owner):
            if column and column not in meta.columns and column not in meta.filter_only:
                raise TypeError(f"{entity.__name__}: no column {column}")
        for parameter in entity.required_filters:
            if parameter.lower() not in meta.filters:
                raise TypeError(f"{entity.__name__}: no filter {parameter}")


CATALOG: Final = _load()
_check(CATALOG)
PUBLIC_ENTITIES: Final = tuple(entity for entity in CATALOG if entity.public)
BUSINESS_ENTITIES: Final = tuple(
    entity for entity in PUBLIC_ENTITIES if entity.__name__ not in ("User", "Role", "UserRole")
)
"""The entities of which a new database has no records, unlike those of users."""
ENTITY_BY_PATH: Final = {entity.path(): entity for entity in PUBLIC_ENTITIES}
