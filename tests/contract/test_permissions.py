"""Every entity × every verb × every unprivileged caller: nothing is read and nothing changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.entities.catalog import CATALOG, PUBLIC_ENTITIES
from creditdesk.entities.ledger.audit_head import AuditHead
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.sys.business import Business
from creditdesk.schema.entity import ALL_VERBS, Entity, Verb
from creditdesk.schema.fields import Collection
from creditdesk.schema.repository import Store
from tests.support.api_client import booking_item
from tests.support.own_requests import OWN_REQUESTS
from tests.support.record_builder import RecordBuilder
from tests.support.users import create_full_user_role, create_user_token, http_client

UNPRIVILEGED: Final = ("no_token", "bad_token", "no_roles", "other_location")
EXPECTED_STATUSES: Final[dict[str, set[int]]] = {
    "no_token": {401}, "bad_token": {401}, "no_roles": {403}, "other_location": {400, 403, 404},
}  # fmt: skip
SHARED: Final = {entity for entity in PUBLIC_ENTITIES if entity.scope is None}


@dataclass(frozen=True)
class TwoLocations:
    """One record of every entity at one location, and clients without access to them."""

    clients: dict[str, httpx.AsyncClient]
    records: dict[type[Entity], int]
    bodies: dict[type[Entity], dict[str, Any]]
    store: Store

    async def counts(self) -> dict[str, int]:
        """The number of records of each entity, but of the audit trail, which also records denials."""
        async with self.store.read_session() as reading:
            counted = [entity for entity in CATALOG if entity not in (AuditHead, AuditRecord)]
            return {entity.__name__: await reading.count(entity) for entity in counted}


@pytest_asyncio.fixture(scope="module")
async def scene(store: Store, builder: RecordBuilder, app: ASGIApp) -> AsyncIterator[TwoLocations]:
    here = await builder.shared_id("Business")
    elsewhere = await builder.create(Business)
    records: dict[type[Entity], int] = {}
    bodies: dict[type[Entity], dict[str, Any]] = {}
    for entity in PUBLIC_ENTITIES:
        held = entity.meta().columns.get(entity.scope or "")
        own = {held.name: (here,)} if held and isinstance(held.field, Collection) else {}
        records[entity] = here if entity is Business else await builder.create(entity, **own)
        bodies[entity] = await builder.request_body(entity, only_required=True) | {
            name: list(ids) for name, ids in own.items()
        }
    bodies[Hold] = {
        "CoworkerId": records[Coworker],
        "BusinessId": here,
        "Sources": [booking_item(records[Booking])],
    }
    user_role = await create_full_user_role(store, elsewhere)
    tokens = {
        "no_token": None,
        "bad_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        "no_roles": await create_user_token(store, "idle@example.com", is_admin=False, business_ids=[here]),
        "other_location": await create_user_token(
            store,
            "far@example.com",
            is_admin=False,
            business_ids=[elsewhere],
            user_role_id=user_role,
        ),
    }
    clients = {name: http_client(app, bearer) for name, bearer in tokens.items()}
    yield TwoLocations(clients, records, bodies, store)
    for client in clients.values():
        await client.aclose()


async def call(
    client: httpx.AsyncClient, entity: type[Entity], verb: Verb, record: int, body: dict[str, Any]
) -> httpx.Response:
    path = entity.path()
    match verb:
        case "list":
            return await client.get(path, params={"size": "1000"})
        case "get":
            return await client.get(f"{path}/{record}")
        case "create":
            return await client.post(path, json=body)
        case "update":
            return await client.put(path, json={**body, "Id": record})
        case "delete":
            return await client.delete(f"{path}/{record}")


@pytest.mark.parametrize("stranger", UNPRIVILEGED)
@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
async def test_unprivileged_callers_read_and_change_nothing(
    scene: TwoLocations, entity: type[Entity], stranger: str
) -> None:
    if stranger == "other_location" and entity in SHARED:
        assert set(entity.verbs) <= {"list", "get"}, "what all locations share is only read"
        return
    client, record = scene.clients[stranger], scene.records[entity]
    before = await scene.counts()
    async with scene.store.read_session() as reading:
        kept = await reading.get(entity, record)
    for verb in ALL_VERBS:
        response = await call(client, entity, verb, record, scene.bodies[entity])
        if verb not in entity.verbs and (response.request.method, entity.path()) not in OWN_REQUESTS:
            assert response.status_code == 405, (verb, response.text)
        elif stranger == "other_location" and verb == "list":
            ids = [each["Id"] for each in response.json()["Records"]]
            assert record not in ids, "a record of another location is in the list"
            assert response.json()["TotalItems"] == len(ids)
        else:
            assert response.status_code in EXPECTED_STATUSES[stranger], (
                verb,
                response.status_code,
                response.text,
            )
    batch = await client.get(f"{entity.path()}/", params={"id": f"[{record}]"})
    if stranger == "other_location":
        assert (batch.status_code, batch.json()) == (200, [])
    else:
        assert batch.status_code in EXPECTED_STATUSES[stranger]
    assert await scene.counts() == before
    async with scene.store.read_session() as reading:
        assert await reading.get(entity, record) == kept


@pytest.mark.parametrize("stranger", UNPRIVILEGED)
async def test_filters_do_not_reveal_other_locations(scene: TwoLocations, stranger: str) -> None:
    """Whatever the filter, records out of scope are neither listed nor counted."""
    for entity in PUBLIC_ENTITIES:
        if entity in SHARED:
            continue
        record = str(scene.records[entity])
        for params in (
            {"Id": record},
            {f"{entity.__name__}_Id": f"[{record}]"},
            {"Id": record, "orderBy": "CreatedOn", "dir": "-1"},
        ):
            response = await scene.clients[stranger].get(entity.path(), params=params)
            if stranger == "other_location":
                assert response.json()["Records"] == [], entity
                assert response.json()["TotalItems"] == 0, entity
            else:
                assert response.status_code in EXPECTED_STATUSES[stranger]


@pytest.mark.parametrize("stranger", UNPRIVILEGED)
@pytest.mark.parametrize("path", ["/api/auth/me", "/api/utils/enums?name=eChargePeriod"])
async def test_shared_entities_require_authentication(scene: TwoLocations, stranger: str, path: str) -> None:
    response = await scene.clients[stranger].get(path)
    assert response.status_code == (401 if stranger in ("no_token", "bad_token") else 200)


@pytest.mark.parametrize("stranger", ["no_token", "bad_token", "no_roles"])
@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
async def test_actions_need_a_role(scene: TwoLocations, entity: type[Entity], stranger: str) -> None:
    before = await scene.counts()
    client = scene.clients[stranger]
    listed = await client.get(f"{entity.path()}/commands")
    body = {"Key": "REVERSE_USE", "Ids": [scene.records[entity]], "Parameters": []}
    run = await client.post(f"{entity.path()}/runcommand", json=body)
    assert listed.status_code in EXPECTED_STATUSES[stranger]
    assert run.status_code in EXPECTED_STATUSES[stranger]
    assert await scene.counts() == before


@pytest.mark.parametrize("entity", PUBLIC_ENTITIES, ids=lambda entity: entity.__name__)
async def test_actions_do_not_reach_other_locations(scene: TwoLocations, entity: type[Entity]) -> None:
    if entity in SHARED:
        return
    client, before = scene.clients["other_location"], await scene.counts()
    for command in (await client.get(f"{entity.path()}/commands")).json():
        body = {"Key": command["Key"], "Ids": [scene.records[entity]], "Parameters": []}
        response = await client.post(f"{entity.path()}/runcommand", json=body)
        parsed = response.json()
        assert response.status_code in (400, 403, 404) or parsed["WasSuccessful"] is False, parsed
    assert await scene.counts() == before
