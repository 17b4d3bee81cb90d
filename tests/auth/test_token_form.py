"""POST /api/token as clients use it: request in, exact response out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.api.origin import client_address
from creditdesk.api.routes import Api
from creditdesk.api.token import token_route
from creditdesk.app import build_context
from creditdesk.auth.authenticator import Authenticator
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.support.users import (
    PASSWORD,
    SIGN_IN_TIME,
    basic_authorization,
    create_authenticator,
    create_person,
    password_form,
    set_two_factor,
)

FORM = f"grant_type=password&username=ada%40example.org&password={PASSWORD.replace(' ', '+')}"
INCORRECT = {
    "error": "invalid_grant",
    "error_description": "The user name or password is incorrect",
}
UNSUPPORTED = {
    "error": "unsupported_grant_type",
    "error_description": "Send grant_type password or refresh_token as a form",
}


@pytest_asyncio.fixture
async def auth(store: Store) -> Authenticator:
    await create_person(store)
    return create_authenticator(store, sign_in_free_failures=3)


@pytest_asyncio.fixture
async def client(store: Store, auth: Authenticator) -> AsyncIterator[httpx.AsyncClient]:
    context = build_context(store, Settings(), lambda: SIGN_IN_TIME)
    app = Api(replace(context, extra_routes=(token_route(auth),)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://creditdesk.test") as opened:
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"},
        {"Content-Type": "text/plain"},
        {"Authorization": basic_authorization(password="stray and wrong")},
        {"client_id": "desk"},
    ],
)
async def test_form_gets_tokens_with_any_headers(
    client: httpx.AsyncClient, auth: Authenticator, headers: dict[str, str]
) -> None:
    answer = await client.post("/api/token", content=FORM, headers=headers)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["access_token", "token_type", "expires_in", "refresh_token"]
    assert (body["token_type"], body["expires_in"]) == ("bearer", 604_799)
    assert answer.headers["cache-control"] == "no-store"
    caller = await auth.authenticate(f"Bearer {body['access_token']}", SIGN_IN_TIME)
    assert caller.email == "ada@example.org"


async def test_wrong_password_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/token", data=password_form(password="wrong"))
    assert (answer.status_code, answer.json()) == (400, INCORRECT)


@pytest.mark.parametrize(
    "sent",
    [
        {"json": password_form()},
        {"content": '{"grant_type": "password"}'},
        {"content": FORM, "headers": {"Content-Type": "application/json"}},
        {"content": ""},
        {"data": password_form(grant_type="client_credentials")},
        {"data": {"username": "ada@example.org"}},
    ],
)
async def test_json_or_other_grant_type_is_unsupported(client: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    answer = await client.post("/api/token", **sent)
    assert (answer.status_code, answer.json()) == (400, UNSUPPORTED)


@pytest.mark.parametrize(
    "content",
    ["a=1&a=2&grant_type=password", "password=" + "x" * 20_000, b"\xff\xfe=1", "a=%ff",
     "&".join(f"f{n}=1" for n in range(40))],
)  # fmt: skip
async def test_malformed_form_is_invalid_request(client: httpx.AsyncClient, content: str | bytes) -> None:
    answer = await client.post("/api/token", content=content)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_client_id_as_header_or_field(client: httpx.AsyncClient) -> None:
    first = (await client.post("/api/token", data=password_form(client_id="desk"))).json()
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    wrong = await client.post("/api/token", data=form, headers={"client_id": "phone"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    right = await client.post("/api/token", data=form, headers={"client_id": "desk"})
    assert right.status_code == 200
    long = await client.post("/api/token", data=password_form(client_id="x" * 321))
    assert (long.status_code, long.json()["error"]) == (400, "invalid_request")


async def test_a_client_with_basic_credentials_need_not_name_itself(client: httpx.AsyncClient) -> None:
    basic = httpx.BasicAuth("desk", "client-secret")
    first = (await client.post("/api/token", data=password_form(client_id="desk"), auth=basic)).json()
    for named in ({}, {"client_id": "desk"}, {}):
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], **named}
        answer = await client.post("/api/token", data=form)
        assert answer.status_code == 200, answer.text
        first = answer.json()
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "phone"}
    assert (await client.post("/api/token", data=form)).status_code == 400
    unnamed = (await client.post("/api/token", data=password_form(client_id="desk"))).json()
    form = {"grant_type": "refresh_token", "refresh_token": unnamed["refresh_token"]}
    assert (await client.post("/api/token", data=form)).status_code == 400


async def test_second_factor_has_its_own_error(client: httpx.AsyncClient, store: Store) -> None:
    await set_two_factor(store, 1, on=True)
    answer = await client.post("/api/token", data=password_form())
    assert (answer.status_code, answer.json()["error"]) == (400, "two_factor_auth_check")


async def test_too_many_failures_return_retry_after(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post("/api/token", data=password_form(password="wrong"))
    answer = await client.post("/api/token", data=password_form())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert "Wait 1 seconds" in answer.json()["error_description"]


async def test_refresh_and_retry_after_expired_token(client: httpx.AsyncClient, auth: Authenticator) -> None:
    first = (await client.post("/api/token", data=password_form())).json()
    week = SIGN_IN_TIME + timedelta(days=8)
    with pytest.raises(Exception, match="Sign in"):
        await auth.authenticate(f"Bearer {first['access_token']}", week)
    grant = await auth.refresh_tokens({"refresh_token": first["refresh_token"]}, None, week)
    assert await auth.authenticate(f"Bearer {grant.access_token}", week)


def test_forwarded_address_needs_trusted_proxy() -> None:
    scope = {
        "client": ("10.0.0.9", 4321),
        "headers": [(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2"), (b"x-forwarded-for", b"3.3.3.3")],
    }
    assert client_address(scope) == "10.0.0.9"
    assert client_address(scope, 1) == "3.3.3.3"
    assert client_address(scope, 2) == "2.2.2.2"
    assert client_address(scope, 9) == "10.0.0.9"
    assert client_address({"client": None}) is None
