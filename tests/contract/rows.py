"""Rows for every entity at once: nulls, repeats, Unicode, extremes, and references among them.

The values come from the contract's types; only how they are put into the store is asked of the
declarations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final
from uuid import UUID

from creditdesk.schema.entity import Entity, entity_by_name
from creditdesk.schema.fields import Collection, Reference, Scaled
from creditdesk.schema.repository import Store
from tests.contract.facts import (
    BASE,
    COMPUTED,
    CONTRACT,
    CORE,
    EntityFacts,
    FieldFact,
    referenced_entity,
)
from tests.contract.model import ContractModel, Row

ROWS_PER_ENTITY: Final = 40
TEXTS: Final = (
    "Straße", "STRASSE", "İzmir", "izmir", "Σίσυφος", "ΣΙΣΥΦΟΣ", "Ångström", "Zoë", "zoe", "Café",
    "café au lait", "日本語", "😀 desk", "50% off", "under_score", "back\\slash", "O'Neill", 'say "hi"',
    "a", "A", "b", "Ground floor", "ground Floor 2", "10", "9", "x" * 300, "Œuvre", "ﬁrst", "null-ish",
)  # fmt: skip
EXACT_TEXTS: Final = (
    "EUR",
    "eur",
    "GBP",
    "ana@example.com",
    "Ana@Example.com",
    "INV-1",
    "INV-10",
    "ß-1",
)
INTEGERS: Final = (0, 1, 2, 2, 5, 10, -3, 2**31, 2**53 + 1, 2**63 - 1)
NUMBERS: Final = tuple(
    Decimal(text)
    for text in (
        "0",
        "0.5",
        "0.25",
        "1",
        "1",
        "12.34",
        "-1.25",
        "99999.9999",
        "0.0001",
        "1000000000",
    )
)
DAY: Final = datetime(2026, 3, 1, tzinfo=UTC)
DATETIMES: Final = (
    DAY, DAY, DAY + timedelta(hours=9, minutes=30), DAY + timedelta(hours=9, minutes=30, seconds=1),
    DAY + timedelta(hours=9, minutes=30, microseconds=1), DAY - timedelta(microseconds=1),
    DAY + timedelta(days=1), DAY + timedelta(days=28, hours=1, minutes=30),
    datetime(1976, 1, 1, 8, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, tzinfo=UTC),
    datetime(2100, 6, 1, 12, 0, 0, 123_456, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)  # fmt: skip
CUSTOM_FIELD_VALUES: Final[tuple[dict[str, Any] | None, ...]] = (
    None,
    {"Data": []},
    {"Data": [{"Name": "Shelf", "Value": "A-1 Größe", "Type": "string"}]},
)


def generate_rows(seed: int, count: int = ROWS_PER_ENTITY) -> dict[str, list[dict[str, Any]]]:
    """`count` rows of every entity, by API field names; every reference is to an existing row."""
    random = Random(seed)
    rows = {
        name: [_row(facts, number, random, count) for number in range(1, count + 1)] for name, facts in CONTRACT.items()
    }
    for name in CONTRACT:
        _fill_mirrored_collections(entity_by_name(name), rows)
    return rows


def _row(facts: EntityFacts, number: int, random: Random, count: int) -> dict[str, Any]:
    entity = entity_by_name(facts.entity)
    row: dict[str, Any] = {}
    for field in facts.fields:
        source = field.denormalised_from
        if field.name in COMPUTED or field.is_delta_field or field.is_write_only:
            continue
        if source and referenced_entity(source.split(".")[0]):
            continue
        row[field.name] = _value(facts, entity, field, random, count)
    row["Id"] = number
    row["UniqueId"] = str(UUID(int=random.getrandbits(128)))
    row["CustomFields"] = random.choice(CUSTOM_FIELD_VALUES)
    row["CreatedOn"], row["UpdatedOn"] = random.choice(DATETIMES[:9]), random.choice(DATETIMES[:9])
    for remaining, total in (("RemainingCredit", "TotalCredit"), ("RemainingUses", "TotalUses")):
        if facts.entity in CORE and total in row:
            row[total] = abs(row[total] or 0)
            row[remaining] = random.choice((row[total] * 0, row[total]))
    return row


def _value(facts: EntityFacts, entity: type[Entity], field: FieldFact, random: Random, count: int) -> Any:
    kind = entity.meta().columns[field.name].field
    if isinstance(kind, Collection):
        return tuple(sorted(random.sample(range(1, count + 1), random.choice((0, 0, 1, 2, 5)))))
    if field.nullable and random.random() < 0.25:
        return None
    if isinstance(kind, Reference):
        return random.randint(1, count if random.random() < 0.5 else 3)
    if members := facts.enums.get(field.type.removeprefix("enum:")):
        return random.choice(list(members.values()))
    match field.type:
        case "string" if field.name.endswith("UniqueId"):
            return str(UUID(int=random.randint(1, 5)))
        case "string":
            return random.choice(EXACT_TEXTS if field.is_exact_text else TEXTS)
        case "integer":
            return random.choice(INTEGERS)
        case "number":
            return random.choice(NUMBERS)
        case "boolean":
            return random.random() < 0.5
        case "datetime":
            return random.choice(DATETIMES)
    return None


def _fill_mirrored_collections(entity: type[Entity], rows: dict[str, list[dict[str, Any]]]) -> None:
    """An inverse collection holds the rows that refer to this one."""
    for column in entity.meta().collection_columns:
        kind = column.field
        if isinstance(kind, Collection) and kind.inverse_of:
            for row in rows[entity.__name__]:
                row[column.name] = tuple(other["Id"] for other in rows[kind.of] if row["Id"] in other[kind.inverse_of])


async def insert_rows(store: Store, rows: Mapping[str, Sequence[Row]]) -> ContractModel:
    """Stores every row: first without references, then with them; append-only rows last."""
    entities = {name: entity_by_name(name) for name in rows}
    async with store.write_session() as unit:
        for name, entity in entities.items():
            if not entity.append_only:
                await unit.insert(entity, [_stored_row(entity, row, links=False) for row in rows[name]])
        for name, entity in entities.items():
            stored = [_stored_row(entity, row, links=True) for row in rows[name]]
            if entity.append_only:
                await unit.insert(entity, stored)
            else:
                await unit.update(entity, [(row["Id"], row) for row in stored])
    return ContractModel(rows)


def _stored_row(entity: type[Entity], row: Row, *, links: bool) -> dict[str, Any]:
    """The row in stored values."""
    stored: dict[str, Any] = {}
    for column in (*entity.meta().stored_columns, *entity.meta().collection_columns):
        kind, value = column.field, row.get(column.name)
        if isinstance(kind, Collection) and kind.inverse_of:
            continue
        is_link = isinstance(kind, Collection | Reference) and kind.is_local
        if is_link and not links:
            value = () if isinstance(kind, Collection) else None
        if isinstance(kind, Scaled) and value is not None:
            value = int(value * 10**kind.places)
        stored[column.name] = value
    assert set(BASE) - set(COMPUTED) <= set(stored)
    return stored
