"""Conventions of the API that hold for every entity: bodies, errors and what stands around them."""

from __future__ import annotations

import logging
from typing import NoReturn

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.credentials import find_user_id
from creditdesk.auth.users_admin import set_roles
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.repository import Store
from creditdesk.settings import (
    RateLimitSettings,
    Settings,
)
from tests.support.http_cases import FAILURE, TYPES
from tests.support.record_builder import NOW, RecordBuilder
from tests.support.users import create_user_token, http_client


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 5000, b'{"Name": NaN}', b"\xff"])
async def test_non_object_body_is_rejected(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(TYPES, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert list(response.json()) == FAILURE
    assert response.json()["Errors"][0]["PropertyName"] == "Body"


async def test_a_body_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    response = await client.post(TYPES, content=b" " * 1_048_577)
    assert response.status_code == 413
    assert list(response.json()) == FAILURE


async def test_body_keys_match_without_case_and_unknown_ones_are_ignored(
    client: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    business = await builder.shared_id("Business")
    response = await client.post(TYPES, json={"name": "Desk", "businessid": str(business), "Foo": 1})
    assert response.status_code == 200
    assert response.json()["Value"]["Name"] == "Desk"


async def test_amounts_are_exact(client: httpx.AsyncClient, builder: RecordBuilder) -> None:
    body = await builder.request_body(CoworkerBookingCredit, only_required=True)
    sent = '{"CoworkerId":%d,"BusinessId":%d,"TotalCredit":%s}'
    for amount in ("0.1", "12345678901234.5678", "3", "-0"):
        text = sent % (body["CoworkerId"], body["BusinessId"], amount)
        response = await client.post(CoworkerBookingCredit.path(), content=text)
        assert f'"TotalCredit":{amount.lstrip("-")},' in response.text
    text = sent % (body["CoworkerId"], body["BusinessId"], "0.00001")
    assert (await client.post(CoworkerBookingCredit.path(), content=text)).status_code == 400


async def test_custom_fields_keep_the_first_of_a_name_and_filter(
    client: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    body = await builder.request_body(ResourceType, only_required=True)
    data = [{"Name": "Floor", "Value": v, "Type": "string"} for v in ("Third", "Fourth")]
    made = await client.post(TYPES, json=body | {"CustomFields": {"Data": data}})
    assert made.json()["Value"]["CustomFields"] == {"Data": data[:1]}
    mine = {"Id": made.json()["Value"]["Id"]}
    for value, found in (("third", 1), ("Fourth", 0)):
        params = mine | {"ResourceType_customfields_floor": value}
        assert (await client.get(TYPES, params=params)).json()["TotalItems"] == found


async def test_put_finds_its_record_by_path_or_body(client: httpx.AsyncClient, builder: RecordBuilder) -> None:
    body = await builder.request_body(ResourceType, only_required=True)
    made = (await client.post(TYPES, json=body)).json()["Value"]["Id"]
    assert (await client.put(f"{TYPES}/{made}", json=body)).status_code == 200
    assert (await client.put(TYPES, json=body | {"Id": str(made)})).status_code == 200
    clash = await client.put(f"{TYPES}/{made}", json=body | {"Id": made + 1})
    assert clash.json()["Errors"][0]["PropertyName"] == "Id"
    assert (await client.put(TYPES, json=body)).json()["Message"] == "Id: is a required field"
    assert (await client.put(f"{TYPES}/999999999", json=body)).status_code == 404


async def test_a_blocked_delete_answers_200_without_success(client: httpx.AsyncClient, builder: RecordBuilder) -> None:
    business = await builder.shared_id("Business")
    kept = await builder.create(ResourceType, BusinessId=business)
    await builder.create(Resource, ResourceTypeId=kept, BusinessId=business)
    response = await client.delete(f"{TYPES}/{kept}")
    assert response.status_code == 200
    assert response.json()["WasSuccessful"] is False
    assert response.json()["Message"]
    assert (await client.get(f"{TYPES}/{kept}")).status_code == 200


async def test_missing_credentials_are_401(app: ASGIApp) -> None:
    async with http_client(app) as anonymous:
        for path in (TYPES, f"{TYPES}/1", f"{TYPES}/commands", "/api/auth/me"):
            response = await anonymous.get(path)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer, Basic")
            assert list(response.json()) == FAILURE


async def test_missing_role_is_403(app: ASGIApp, store: Store, location: int) -> None:
    token = await create_user_token(store, "powerless@example.com", is_admin=False, business_ids=(location,))
    async with http_client(app, token) as limited:
        for method, path in (
            ("GET", TYPES), ("GET", f"{TYPES}/1"), ("GET", f"{TYPES}?id=[1]"), ("POST", TYPES),
            ("PUT", TYPES), ("DELETE", f"{TYPES}/1"), ("GET", f"{TYPES}/commands"),
            ("POST", f"{TYPES}/runcommand"),
        ):  # fmt: skip
            response = await limited.request(method, path)
            assert response.status_code == 403, (method, path)
            assert list(response.json()) == FAILURE


async def test_current_user_and_enums(client: httpx.AsyncClient) -> None:
    me = (await client.get("/api/auth/me")).json()
    assert me["Email"] == "admin@example.com"
    assert "DefaultCurrencyCode" in me
    periods = (await client.get("/api/utils/enums?name=eChargePeriod")).json()
    assert periods[0] == {"Id": 1, "Name": "Minutes"}
    assert (await client.get("/api/utils/enums?name=eNone")).status_code == 404
    assert (await client.get("/api/utils/enums")).status_code == 400


async def test_actions_are_listed_and_unknown_key_is_rejected(
    client: httpx.AsyncClient, builder: RecordBuilder
) -> None:
    path = CoworkerBookingCredit.path()
    for command in (await client.get(f"{path}/commands")).json():
        assert list(command)[:3] == ["Key", "Name", "AppliesOnlyToMultipleEntities"]
    assert (await client.get(f"{TYPES}/commands")).json() == []
    response = await client.post(f"{path}/runCommand", json={"Key": "NO_SUCH", "Ids": [1]})
    assert response.status_code == 400
    assert response.json()["Errors"][0]["PropertyName"] == "Key"


async def test_rate_limit_answers_retry_after(store: Store, admin_token: str) -> None:
    app = build_app(store, Settings(limits=RateLimitSettings(calls_per_minute=2)))
    async with http_client(app, admin_token) as eager:
        for _ in range(2):
            assert (await eager.get(TYPES)).status_code == 200
        response = await eager.get(TYPES)
    assert response.status_code == 429
    assert f"Wait {response.headers['Retry-After']} seconds" in response.json()["Message"]


async def test_internal_error_is_generic_and_logged(
    client: httpx.AsyncClient,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(**_: object) -> NoReturn:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr(store, "read_session", broken)
    with caplog.at_level(logging.ERROR):
        response = await client.get(TYPES)
    assert response.status_code == 500
    assert list(response.json()) == ["Message"]
    assert "secret" not in response.text
    assert "the secret reason" in caplog.text


async def test_a_lost_connection_is_a_503(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(**_: object) -> NoReturn:
        raise ConnectionResetError

    monkeypatch.setattr(store, "read_session", lost)
    response = await client.get(TYPES)
    assert response.status_code == 503
    assert list(response.json()) == FAILURE


async def test_records_of_other_locations_are_not_found(
    app: ASGIApp, store: Store, builder: RecordBuilder, location: int
) -> None:
    """For a caller of one location, other records are not found, listed, counted or referable."""
    roles = [f"ResourceType-{word}" for word in ("List", "Read", "Create", "Edit", "Delete")]
    token = await create_user_token(store, "local@example.com", is_admin=False, business_ids=(location,))
    async with store.write_session() as unit:
        user_id = await find_user_id(unit, "local@example.com")
        assert user_id is not None
        await set_roles(unit, user_id, location, roles, now=NOW)
    elsewhere = await builder.create_business("Elsewhere")
    foreign = await builder.create(ResourceType, Name="Foreign", BusinessId=elsewhere)
    async with http_client(app, token) as local:
        assert (await local.get(TYPES)).json()["TotalItems"] == 60
        assert (await local.get(f"{TYPES}?id=[{foreign}]")).json() == []
        assert (await local.get(f"{TYPES}/{foreign}")).status_code == 404
        assert (await local.delete(f"{TYPES}/{foreign}")).status_code == 404
        body = {"Name": "New", "BusinessId": elsewhere}
        rejected = await local.post(TYPES, json=body)
        assert rejected.json()["Message"] == "Business: is not found"
        assert (await local.put(f"{TYPES}/{foreign}", json=body)).status_code == 404
        made = await local.post(TYPES, json=body | {"BusinessId": location})
        assert made.status_code == 200, made.text
        moved = await local.put(f"{TYPES}/{made.json()['Value']['Id']}", json=body)
        assert moved.json()["Message"] == "Business: is not found"


async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/api/billing/nothing", "/api", "/nowhere", "/api/billing/coworkers"):
        response = await client.get(path)
        assert (response.status_code, response.text) == (404, '"Not found"')


async def test_an_alias_path_serves_the_same_collection(client: httpx.AsyncClient) -> None:
    """Users are found under `/api/spaces/users` too."""
    main, alias = "/api/sys/users", "/api/spaces/users"
    listed = (await client.get(main)).json()
    assert (await client.get(alias)).json() == listed
    [user] = listed["Records"][:1]
    whole = (await client.get(f"{main}/{user['Id']}")).json()
    assert (await client.get(f"{alias}/{user['Id']}")).json() == whole
    assert (await client.get(f"{alias}/?id=[{user['Id']}]")).json() == [whole]
    commands = (await client.get(f"{main}/commands")).json()
    assert (await client.get(f"{alias}/commands")).json() == commands
    body = {"FullName": "Bea", "Email": "bea.alias@example.com", "Language": 1}
    created = (await client.post(alias, json=body)).json()
    assert created["WasSuccessful"] is True, created
    sent = {**body, "Id": created["Value"]["Id"], "FullName": "Bea Two"}
    assert (await client.put(alias, json=sent)).json()["Value"]["FullName"] == "Bea Two"
    assert (await client.patch(alias)).status_code == 405
    document = (await client.get("/openapi.json")).json()
    assert main in document["paths"]
    assert alias not in document["paths"]
