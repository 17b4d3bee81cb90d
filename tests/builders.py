"""Builders: whatever a test needs stands in the store, or in a body, after one call.

Derived from the declarations, so that a new entity needs no builder of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from creditdesk.schema.entity import COMPUTED, Entity, Record, entity_named
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Text,
    show_instant,
)
from creditdesk.schema.repository import Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
EDITOR = "editor@example.com"
_numbers = count(1)


def stored_row(entity: type[Entity], **values: Any) -> Record:
    """A whole new record as the store takes it: the given values, all others empty."""
    columns = [*entity.shape().stored, *entity.shape().collections]
    empty = {c.name: c.kind.empty for c in columns if c.name != "Id"}
    base = {"UniqueId": str(uuid4()), "CreatedOn": NOW, "UpdatedOn": NOW, "UpdatedBy": EDITOR}
    return {**empty, **base, **values}


def sample(kind: Field, name: str = "") -> Any:
    """Some wire value of a kind, a different one at each call where the kind has many."""
    number = next(_numbers)
    match kind:
        case Guid():
            return str(uuid4())
        case Text(exact=True) if "mail" in name.lower():
            return f"person{number}@example.com"
        case Text() if name == "TwoFactorSecret":
            return "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
        case Text():
            return f"{name or 'text'} {number}"
        case Money():
            return number + 0.25
        case Number():
            return number + 0.125
        case Boolean():
            return True
        case Enum(of=members):
            return int(next(iter(members)))
        case DateTime():
            return show_instant(NOW + timedelta(hours=number))
        case Object():
            return {"Data": [{"Name": "Shelf", "Value": f"A{number}", "Type": "string"}]}
        case Integer():
            return number
    raise AssertionError(kind)


class Builder:
    """Makes records and bodies; what they refer to is made once and shared."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shared: dict[str, int] = {}

    async def make(self, entity: type[Entity], **values: Any) -> int:
        """The id of a new record with its required references; inner values may be given."""
        row = stored_row(entity)
        alone = {name for names in entity.unique for name in names}
        for name, kind in entity.fields.items():
            if isinstance(kind, Reference):
                if _needed(kind) and f"{name}Id" not in values:
                    row[f"{name}Id"] = await self.shared(kind.to) if kind.kept else 3
            elif (kind.required or name in alone) and not isinstance(kind, Collection):
                row[name] = kind.read(sample(kind, name))
        async with self.store.writing() as unit:
            [record_id] = await unit.insert(entity, [{**row, **values}])
        return record_id

    async def shared(self, entity_name: str) -> int:
        """The id of the one record of an entity that this builder's records refer to."""
        if entity_name not in self._shared:
            self._shared[entity_name] = await self.make(entity_named(entity_name))
        return self._shared[entity_name]

    async def make_business(self, name: str) -> int:
        """The id of a new location."""
        return await self.make(entity_named("Business"), Name=name)

    async def body(self, entity: type[Entity], *, only_required: bool = False) -> dict[str, Any]:
        """A POST body that is accepted: every field that may be sent, or the required ones."""
        body: dict[str, Any] = {}
        for name, kind in entity.fields.items():
            if name in COMPUTED or kind.read_only or kind.update_only:
                continue
            if only_required and not kind.required:
                continue
            if isinstance(kind, Collection):
                body[name] = [await self.shared(kind.of)] if kind.kept else [7]
            elif isinstance(kind, Reference):
                body[f"{name}Id"] = await self.shared(kind.to) if kind.kept else 3
            else:
                body[name] = sample(kind, name)
        # What is charged or granted at once is the ledger's, and tested there.
        return body | {name: False for name in ("ChargeNow", "ActivateNow") if name in body}


def _needed(kind: Reference) -> bool:
    return kind.required or not kind.nullable


def served(entities: Iterable[type[Entity]], verb: str) -> list[type[Entity]]:
    """The entities that offer a verb."""
    return [entity for entity in entities if verb in entity.verbs]
