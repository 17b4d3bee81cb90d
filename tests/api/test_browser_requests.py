"""Writes that a page of another site starts are refused, with any credentials and any body."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.users_admin import create_user
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.settings import ApiSettings, Settings
from tests.support.record_builder import NOW
from tests.support.users import PASSWORD, basic_authorization, http_client, password_form

OWN = "http://creditdesk.test"
FOREIGN = "https://evil.example"
USERS = User.path()
SITE = "sec-fetch-site"
JSON_TYPE = "application/json"


def new_administrator(email: str) -> dict[str, Any]:
    return {"FullName": "Eve", "Email": email, "Language": 1, "IsAdmin": True, "Active": True}


@pytest.fixture(scope="module")
async def basic(app: ASGIApp, store: Store) -> httpx.AsyncClient:
    """A browser that remembers an administrator's Basic credentials."""
    async with store.write_session() as session:
        await create_user(session, "ada@example.org", PASSWORD, "Ada", is_admin=True, now=NOW)
    client = http_client(app)
    client.headers["Authorization"] = basic_authorization()
    return client


async def emails(client: httpx.AsyncClient) -> set[str]:
    found = (await client.get(USERS, params={"size": 1000})).json()["Records"]
    return {user["Email"] for user in found}


@pytest.mark.parametrize("content_type", ["text/plain", JSON_TYPE, "form", ""])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": FOREIGN},
        {"origin": "null"},
        {"origin": "http://creditdesk.test.evil.example"},
        {"origin": "http://creditdesk.test:8080"},
        {"origin": "http://[broken"},
        {SITE: "cross-site"},
        {SITE: "same-site"},
        {SITE: "cross-site", "origin": OWN},
    ],
    ids=str,
)
async def test_write_of_another_site_is_refused(
    basic: httpx.AsyncClient, headers: dict[str, str], content_type: str
) -> None:
    before = await emails(basic)
    body = new_administrator("eve@example.org")
    if content_type == "form":
        response = await basic.post(USERS, data=body, headers=headers)
    else:
        typed = {**headers, "content-type": content_type} if content_type else headers
        response = await basic.post(USERS, content=json.dumps(body), headers=typed)
    assert response.status_code == 403
    assert response.json()["Message"].startswith("Pages of another site cannot write here")
    assert await emails(basic) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_every_unsafe_method_is_refused(basic: httpx.AsyncClient, method: str) -> None:
    path = f"{USERS}/runcommand" if method == "POST" else f"{USERS}/1"
    response = await basic.request(method, path, headers={"origin": FOREIGN})
    assert response.status_code == 403


@pytest.mark.usefixtures("basic")
async def test_foreign_page_cannot_sign_a_browser_in(app: ASGIApp) -> None:
    async with http_client(app) as client:
        refused = await client.post("/api/token", data=password_form(), headers={"origin": FOREIGN})
        assert refused.status_code == 403
        own = await client.post("/api/token", data=password_form(), headers={"origin": OWN})
        assert own.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OWN},
        {"origin": "https://creditdesk.test"},
        {SITE: "same-origin", "origin": OWN},
        {SITE: "none"},
        {},
    ],
    ids=str,
)
async def test_own_pages_and_other_clients_write(basic: httpx.AsyncClient, headers: dict[str, str]) -> None:
    email = f"own-{abs(hash(str(headers)))}@example.org"
    response = await basic.post(USERS, json=new_administrator(email), headers=headers)
    assert response.status_code == 200, response.text
    assert email in await emails(basic)


async def test_reads_with_a_foreign_origin_are_answered(basic: httpx.AsyncClient) -> None:
    assert (await basic.get(USERS, headers={"origin": FOREIGN})).status_code == 200


async def test_allowed_origins_write(store: Store, admin_token: str) -> None:
    settings = Settings(api=ApiSettings(allowed_origins=f"https://a.example, {FOREIGN}/"))
    async with http_client(build_app(store, settings), admin_token) as client:
        headers = {"origin": FOREIGN, SITE: "cross-site"}
        body = new_administrator("allowed@example.org")
        assert (await client.post(USERS, json=body, headers=headers)).status_code == 200
        headers["origin"] = "https://b.example"
        assert (await client.post(USERS, json=body, headers=headers)).status_code == 403


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", ""])
async def test_browser_sends_json_as_json(basic: httpx.AsyncClient, content_type: str) -> None:
    body = json.dumps(new_administrator("typed@example.org"))
    headers = {"origin": OWN, SITE: "same-origin"}
    typed = {**headers, "content-type": content_type} if content_type else headers
    assert (await basic.post(USERS, content=body, headers=typed)).status_code == 415
    plain = await basic.post(USERS, content=body, headers={"content-type": content_type or "x/y"})
    assert plain.status_code in (200, 400), "another client is not asked for a type"


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        ({}, 'Bearer, Basic realm="creditdesk"'),
        ({"user-agent": "curl/8.5"}, 'Bearer, Basic realm="creditdesk"'),
        ({"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}, "Bearer"),
        ({SITE: "none", "user-agent": "x"}, "Bearer"),
    ],
)
async def test_basic_is_offered_to_programs_only(app: ASGIApp, headers: dict[str, str], offered: str) -> None:
    async with http_client(app) as client:
        response = await client.get(USERS, headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, offered)
