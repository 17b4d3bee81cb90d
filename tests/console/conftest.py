"""A browser without scripts: an HTTP client with the session's cookie, as pages send it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.console.session import SECURE_COOKIE

OWN_PAGE = {"sec-fetch-site": "same-origin", "user-agent": "Mozilla/5.0"}


def browser(app: ASGIApp, token: str | None = None) -> httpx.AsyncClient:
    """A client over https that sends what a page of the console would; signed in with a token."""
    cookies = {SECURE_COOKIE: token} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://creditdesk.test", headers=OWN_PAGE, cookies=cookies)


@pytest_asyncio.fixture(scope="module")
async def console(app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's browser."""
    async with browser(app, admin_token) as opened:
        yield opened


@pytest_asyncio.fixture
async def stranger(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not signed in."""
    async with browser(app) as opened:
        yield opened
