"""A desk of its own customer for each test, over the module's database on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from creditdesk.app import build_app
from creditdesk.auth.settings import AuthSettings
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.conftest import ADMIN
from tests.ledger.town import Town
from tests.regression.desk import Clock, Desk


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(scope="module")
async def admin_token(store: Store) -> str:
    """An administrator's token that outlives what the clock is moved by."""
    settings, now = AuthSettings(access_seconds=400 * 24 * 3600), datetime.now(UTC)
    secret = await signing_secret(store, settings, now)
    async with store.writing() as unit:
        user = await create_user(unit, ADMIN, None, "Some One", is_admin=True, now=now)
        return (await issue_token(unit, user, secret, settings, now=now)).access_token


@pytest_asyncio.fixture(scope="module")
async def town(store: Store) -> Town:
    return await Town.founded(store)


@pytest.fixture(scope="module")
def app(store: Store, clock: Clock) -> Starlette:
    """The application with a clock that tests can move."""
    return build_app(store, Settings(), clock)


@pytest_asyncio.fixture
async def open_desk(client: httpx.AsyncClient, town: Town, clock: Clock) -> Desk:
    """A new customer at the desk."""
    clock.ahead *= 0
    town.now = clock()
    town.customer = await town.add_customer("Ada")
    return Desk(client, town, clock)


@pytest_asyncio.fixture
async def desk(open_desk: Desk) -> AsyncIterator[Desk]:
    """A desk whose books must agree when the test is over (rule 34)."""
    yield open_desk
    assert await open_desk.findings() == []
