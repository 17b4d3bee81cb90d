"""What GET shows, PUT accepts and keeps, for every record that exists."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from creditdesk.demo.load import load_demo
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.ledger.journal.mapping import MAPPINGS_BY_CREDIT, MAPPINGS_BY_HISTORY
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Reference, Text
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store
from tests.support.record_builder import RecordBuilder, entities_with_verb

UPDATABLE = entities_with_verb(PUBLIC_ENTITIES, "update")
STAMP = {"UpdatedOn", "UpdatedBy", "MinutesToStart"}
"""What may differ after an update that changes nothing, and a minute later."""
DEMO_USES, DEMO_SEED = 60, 7
WITH_OWNERS = (*MAPPINGS_BY_CREDIT, *MAPPINGS_BY_HISTORY)
"""An import refuses these without their owner, location or credit."""
every_updatable = pytest.mark.parametrize("entity", UPDATABLE, ids=lambda e: e.__name__)


@pytest.fixture(scope="module")
async def demo(store: Store) -> None:
    """The records of a small demo."""
    await load_demo(store, DEMO_USES, DEMO_SEED, NullReporter())


async def changes_of_own_put(client: httpx.AsyncClient, entity: type[Entity], record_id: int) -> dict[str, Any]:
    """Sends a record back as it was shown; returns what changed, the stamp left out."""
    path = f"{entity.path()}/{record_id}"
    shown = (await client.get(path)).json()
    response = await client.put(entity.path(), json=shown)
    assert response.status_code == 200, (shown, response.text)
    assert response.json()["WasSuccessful"] is True, (shown, response.text)
    after = (await client.get(path)).json()
    assert without_stamp(response.json()["Value"]) == without_stamp(after)
    return {name: (shown[name], after[name]) for name in shown if name not in STAMP and shown[name] != after[name]}


def without_stamp(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in STAMP}


@pytest.mark.usefixtures("demo")
@every_updatable
async def test_every_demo_record_is_accepted_as_it_is_shown(client: httpx.AsyncClient, entity: type[Entity]) -> None:
    page = (await client.get(entity.path(), params={"size": 1000})).json()
    assert page["TotalItems"] <= 1000
    assert page["Records"] or entity.__name__ in ("UserRole", "PoolCap", "SavedReport"), entity
    for record in page["Records"]:
        assert await changes_of_own_put(client, entity, record["Id"]) == {}


@pytest.mark.usefixtures("demo")
@every_updatable
async def test_a_record_that_lacks_required_values_is_accepted_as_it_is_shown(
    client: httpx.AsyncClient, builder: RecordBuilder, entity: type[Entity]
) -> None:
    """An import may leave out what a create must have, and stores empty text and other objects."""
    values: dict[str, Any] = {"CustomFields": {"Other": 1.5}}
    unique = {name for names in entity.unique for name in names}
    for column in entity.meta().stored_columns:
        if column.name in unique or column.field.read_only:
            continue
        if isinstance(column.field, Text):
            is_empty_text = column.name in ("Description", "Notes") or not column.field.nullable
            values[column.name] = "" if is_empty_text else None
        elif column.field.required and not isinstance(column.field, Reference):
            values[column.name] = column.field.default_value
        elif isinstance(column.field, Reference) and (not column.field.is_local or entity not in WITH_OWNERS):
            values[column.name] = None
    record_id = await builder.create(entity, **values)
    assert await changes_of_own_put(client, entity, record_id) == {}
