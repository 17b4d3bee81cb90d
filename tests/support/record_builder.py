"""Creates records and request bodies of any entity, derived from its declaration."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import COMPUTED_FIELDS, Entity, Record, entity_by_name
from creditdesk.schema.fields import (
    MAX_INTEGER,
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
)
from creditdesk.schema.repository import Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
EDITOR_EMAIL = "editor@example.com"
TIME_ZONES = ("Europe/Lisbon", "America/New_York", "Asia/Tokyo", "Africa/Nairobi", "Pacific/Auckland", "Asia/Kolkata")
_sequence = count(1)


def stored_row(entity: type[Entity], **values: Any) -> Record:
    """A new record with these values and default values for the rest."""
    columns = [*entity.meta().stored_columns, *entity.meta().collection_columns]
    empty = {c.name: c.field.default_value for c in columns if c.name != "Id"}
    base = {"UniqueId": str(uuid4()), "CreatedOn": NOW, "UpdatedOn": NOW, "UpdatedBy": EDITOR_EMAIL}
    return {**empty, **base, **values}


def sample_value(kind: Field, name: str = "") -> Any:
    """A JSON value of a field type, a different one on each call where there are many."""
    number = next(_sequence)
    match kind:
        case Guid():
            return str(uuid4())
        case Text():
            return _sample_text(kind, name, number)
        case Money():
            return number + 0.25
        case Number():
            return number + 0.125
        case Boolean():
            return True
        case Enum(of=members):
            return int(next(iter(members)))
        case DateTime():
            return format_datetime(NOW + timedelta(hours=number))
        case Object():
            return {"Data": [{"Name": "Shelf", "Value": f"A{number}", "Type": "string"}]}
        case Integer(minimum=lowest, maximum=highest):
            return number if highest == MAX_INTEGER else lowest + number % (highest - lowest + 1)
    raise AssertionError(kind)


def _sample_text(kind: Text, name: str, number: int) -> str:
    if kind.exact and "mail" in name.lower():
        return f"person{number}@example.com"
    if name == "TwoFactorSecret":
        return "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    if name in ("TimeZone", "NameIana"):
        return TIME_ZONES[number % len(TIME_ZONES)]
    return f"{name or 'text'} {number}"


class RecordBuilder:
    """Creates records and bodies; the records that they refer to are created once and shared."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shared_ids: dict[str, int] = {}

    async def create(self, entity: type[Entity], **values: Any) -> int:
        """Creates a record with its required references and returns its id; `values` are stored values."""
        row = stored_row(entity)
        alone = {name for names in entity.unique for name in names}
        for name, kind in entity.fields.items():
            if isinstance(kind, Reference):
                if _is_required(kind) and f"{name}Id" not in values:
                    row[f"{name}Id"] = await self._referenced_id(entity, name, kind)
            elif (kind.required or name in alone) and not isinstance(kind, Collection):
                row[name] = kind.parse(sample_value(kind, name))
        async with self.store.write_session() as unit:
            [record_id] = await unit.insert(entity, [{**row, **values}])
        return record_id

    async def _referenced_id(self, entity: type[Entity], name: str, kind: Reference) -> int:
        """The id of the shared record, or of a new one where each may be referred to once."""
        if not kind.is_local:
            return 3
        is_unique = (f"{name}Id",) in entity.unique
        return await self.create(entity_by_name(kind.to)) if is_unique else await self.shared_id(kind.to)

    async def shared_id(self, entity_name: str) -> int:
        """The id of the shared record of an entity."""
        if entity_name not in self._shared_ids:
            self._shared_ids[entity_name] = await self.create(entity_by_name(entity_name))
        return self._shared_ids[entity_name]

    async def create_business(self, name: str) -> int:
        """The id of a new location."""
        return await self.create(entity_by_name("Business"), Name=name)

    async def request_body(self, entity: type[Entity], *, only_required: bool = False) -> dict[str, Any]:
        """A valid POST body with every writable field, or the required ones."""
        body: dict[str, Any] = {}
        for name, kind in entity.fields.items():
            if name in COMPUTED_FIELDS or kind.read_only or kind.update_only:
                continue
            if only_required and not kind.required:
                continue
            if isinstance(kind, Collection):
                body[name] = [await self.shared_id(kind.of)] if kind.is_local else [7]
            elif isinstance(kind, Reference):
                body[f"{name}Id"] = await self._referenced_id(entity, name, kind)
            else:
                body[name] = sample_value(kind, name)
        # Charging and granting on create belongs to the ledger and is tested there.
        return body | {name: False for name in ("ChargeNow", "ActivateNow") if name in body}


def _is_required(kind: Reference) -> bool:
    return kind.required or not kind.nullable


def entities_with_verb(entities: Iterable[type[Entity]], verb: str) -> list[type[Entity]]:
    """The entities that offer a verb."""
    return [entity for entity in entities if verb in entity.verbs]
