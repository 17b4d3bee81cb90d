"""Security headers of every response, and pages that can be closed."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from creditdesk.settings import ApiSettings, ConsoleSettings, Settings
from tests.support.users import http_client

RECORDS = (User.path(), f"{User.path()}/1", "/api/auth/me", "/api/nothing", "/API/sys/users")
WITHOUT_CONSOLE = Settings(console=ConsoleSettings(enabled=False))
PAGES = ("/docs", "/docs/docs.js", "/openapi.json", "/health", "/ready", "/nothing")


@pytest.mark.parametrize("path", [*RECORDS, *PAGES])
@pytest.mark.parametrize("signed_in", [True, False])
async def test_every_response_has_security_headers(app: ASGIApp, admin_token: str, path: str, signed_in: bool) -> None:
    async with http_client(app, admin_token if signed_in else None) as client:
        response = await client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers.get("Cache-Control") == ("no-store" if path in RECORDS else None)


async def test_writes_and_tokens_are_not_stored(client: httpx.AsyncClient) -> None:
    for path in (User.path(), "/api/token", f"{User.path()}/runcommand"):
        response = await client.post(path, content=b"{}")
        assert response.headers.get_list("Cache-Control") == ["no-store"]


async def test_root_leads_to_the_page_where_there_is_no_console(store: Store) -> None:
    async with http_client(build_app(store, WITHOUT_CONSOLE)) as client:
        response = await client.get("/")
        assert (response.status_code, response.headers["Location"]) == (307, "docs")
        followed = await client.get("/", follow_redirects=True)
        assert (await client.get("/console/")).status_code == 404
    assert followed.status_code == 200
    assert "<title>creditdesk API</title>" in followed.text


async def test_pages_can_be_closed(store: Store, admin_token: str) -> None:
    app = build_app(store, replace(WITHOUT_CONSOLE, api=ApiSettings(publish_docs=False)))
    async with http_client(app, admin_token) as client:
        for path in ("/", "/docs", "/docs/docs.js", "/openapi.json"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/health")).status_code == 200
        assert (await client.get(User.path())).status_code == 200
