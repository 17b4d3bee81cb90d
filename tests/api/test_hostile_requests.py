"""Requests that no proper client sends get a 4xx, never a 5xx, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.signed_tokens import TokenSigner
from creditdesk.auth.tokens import signing_secret
from creditdesk.entities.catalog import PUBLIC_ENTITIES
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from creditdesk.settings import ApiSettings, AuthSettings, Settings
from tests.support.users import basic_authorization, http_client

TYPES = ResourceType.path()
LISTED = [entity for entity in PUBLIC_ENTITIES if "list" in entity.verbs]


@pytest.mark.parametrize("entity", LISTED, ids=lambda entity: entity.__name__)
@pytest.mark.parametrize("name", ["a\0b", "\0", "a\ud800"])
async def test_filter_name_that_cannot_be_stored_is_invalid(
    client: httpx.AsyncClient, entity: type[Entity], name: str
) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in name.encode(errors="surrogatepass"))
    parameter = f"{entity.__name__}_CustomFields_{encoded}"
    for value in ("x", "null", "notnull"):
        answer = await client.get(f"{entity.path()}?{parameter}={value}")
        # Bytes that are no UTF-8 are read as U+FFFD, which can be stored.
        assert answer.status_code == (400 if "\0" in name else 200), answer.text


def custom_filters(count: int) -> dict[str, str]:
    return {f"ResourceType_CustomFields_f{number}": "x" for number in range(count)}


async def test_more_filters_than_allowed_are_invalid(client: httpx.AsyncClient) -> None:
    most = ApiSettings().max_filters
    assert (await client.get(TYPES, params=custom_filters(most))).status_code == 200
    for count in (most + 1, 495, 900):
        answer = await client.get(TYPES, params=custom_filters(count))
        assert answer.status_code == 400
        assert f"at most {most} filters" in answer.json()["Message"]


async def test_max_filters_is_a_setting(store: Store, admin_token: str) -> None:
    app = build_app(store, Settings(api=ApiSettings(max_filters=1)))
    async with http_client(app, admin_token) as client:
        assert (await client.get(TYPES, params=custom_filters(1))).status_code == 200
        assert (await client.get(TYPES, params=custom_filters(2))).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "9223372036854775808"},
        {"sub": "-9223372036854775809"},
        {"sub": "1" + "0" * 60},
        {"sub": "0"},
        {"sid": 2**63},
        {"sid": "1" + "0" * 30},
        {"sid": float("inf")},
        {"sid": float("nan")},
        {"exp": float("inf")},
    ],
    ids=str,
)
async def test_token_with_claims_out_of_range_is_refused(app: ASGIApp, store: Store, changes: dict[str, Any]) -> None:
    settings, now = AuthSettings(), datetime.now(UTC)
    signer = TokenSigner(await signing_secret(store, settings, now), "access token")
    expires = int((now + timedelta(days=1)).timestamp())
    token = signer.sign({"sub": "1", "sid": 1, "exp": expires} | changes)
    async with http_client(app, token) as client:
        assert (await client.get(TYPES)).status_code == 401


@pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
async def test_credentials_that_cannot_be_stored_are_refused(app: ASGIApp, text: str) -> None:
    encoded = text.encode(errors="surrogatepass")
    async with http_client(app) as client:
        for fields in (
            {"grant_type": "password", "username": encoded, "password": "x"},
            {"grant_type": "password", "username": "x", "password": encoded},
            {"grant_type": "refresh_token", "refresh_token": encoded},
            {"grant_type": "refresh_token", "refresh_token": "x", "client_id": encoded},
            {"grant_type": encoded},
        ):
            answer = await client.post("/api/token", data=fields)
            assert 400 <= answer.status_code < 500, (fields, answer.text)
        headers = {"Authorization": basic_authorization("a\0b@example.org")}
        assert (await client.get(TYPES, headers=headers)).status_code == 401


@pytest.mark.parametrize("custom_fields", ['{"a\\u0000": 1}', '{"a": "\\u0000"}', '{"a": {"b\\u0000": []}}'])
async def test_custom_fields_that_cannot_be_stored_are_invalid(client: httpx.AsyncClient, custom_fields: str) -> None:
    body = f'{{"Name": "Desk", "BusinessId": 1, "CustomFields": {custom_fields}}}'
    answer = await client.post(TYPES, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
