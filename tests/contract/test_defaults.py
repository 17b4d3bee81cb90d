"""Which fields a create must have, and what the others become."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from creditdesk.entities.catalog import PUBLIC_ENTITIES
from tests.contract.contract_client import entity_id
from tests.contract.facts import CONTRACT, EntityFacts
from tests.support.record_builder import RecordBuilder, entities_with_verb

USES = {"CoworkerBookingCreditUseHistory", "CoworkerExtraServiceUseHistory"}
CREATABLE = [e for e in entities_with_verb(PUBLIC_ENTITIES, "create") if e.__name__ in CONTRACT.keys() - USES]
WITH_DEFAULTS = [facts for facts in CONTRACT.values() if facts.defaults]


async def required_body(builder: RecordBuilder, facts: EntityFacts) -> dict[str, Any]:
    """A body with a value for each field without a default that a create must have."""
    [entity] = [e for e in PUBLIC_ENTITIES if e.__name__ == facts.entity]
    body = await builder.request_body(entity, only_required=True)
    return {name: value for name, value in body.items() if name not in facts.defaults}


@pytest.mark.parametrize("facts", WITH_DEFAULTS, ids=entity_id)
async def test_a_missing_field_takes_its_default(
    client: httpx.AsyncClient, builder: RecordBuilder, facts: EntityFacts
) -> None:
    body = await required_body(builder, facts)
    created = await client.post(facts.path, json=body)
    assert created.status_code == 200, created.text
    record = created.json()["Value"]
    assert {name: record[name] for name in facts.defaults} == facts.defaults
    others = {name: [7] if value == [] else 3 for name, value in facts.defaults.items()}
    if "IdentityCheckProvider" in others:
        others |= {"IdentityCheckProvider": 2, "AddressIdentityCheckProvider": 2}
    changed = await client.put(facts.path, json=body | others | {"Id": record["Id"]})
    assert changed.status_code == 200, changed.text
    assert {name: changed.json()["Value"][name] for name in facts.defaults} == others
    cleared = await client.put(facts.path, json=body | {"Id": record["Id"]})
    assert cleared.status_code == 200, cleared.text
    kept = {name: value for name, value in others.items() if isinstance(value, list)}
    after = cleared.json()["Value"]
    assert {name: after[name] for name in facts.defaults} == facts.defaults | kept


@pytest.mark.parametrize("name", ["Mail", "Parcels", "Checks", "Publicity", "Other"])
@pytest.mark.parametrize(("sent", "stored"), [(3, [3]), ([2, 3], [2, 3]), ([], []), (0, [])])
async def test_delivery_preferences_are_lists(
    client: httpx.AsyncClient, builder: RecordBuilder, name: str, sent: Any, stored: list[int]
) -> None:
    facts = CONTRACT["Tariff"]
    field = f"DeliveryPreferences{name}"
    body = await required_body(builder, facts) | {field: sent}
    created = await client.post(facts.path, json=body)
    assert created.status_code == 200, created.text
    assert created.json()["Value"][field] == stored
    assert f"Added{field}" not in created.json()["Value"]
