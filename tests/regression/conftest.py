"""A desk of its own customer for each test, over the module's database on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, Settings
from tests.conftest import ADMIN_EMAIL
from tests.support.api_client import AdjustableClock, ApiClient
from tests.support.ledger_builder import LedgerBuilder


@pytest.fixture(scope="module")
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest_asyncio.fixture(scope="module")
async def admin_token(store: Store) -> str:
    """An administrator's token that outlives what the clock is moved by."""
    settings, now = AuthSettings(access_seconds=400 * 24 * 3600), datetime.now(UTC)
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as unit:
        user = await create_user(unit, ADMIN_EMAIL, None, "Some One", is_admin=True, now=now)
        return (await issue_token(unit, user, secret, settings, now=now)).access_token


@pytest_asyncio.fixture(scope="module")
async def ledger(store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(store)


@pytest.fixture(scope="module")
def app(store: Store, clock: AdjustableClock) -> ASGIApp:
    """The application with a clock that tests can move."""
    return build_app(store, Settings(), clock)


@pytest_asyncio.fixture
async def unverified_api(
    client: httpx.AsyncClient, ledger: LedgerBuilder, clock: AdjustableClock
) -> ApiClient:
    """A new customer at the desk."""
    clock.offset *= 0
    ledger.now = clock()
    ledger.customer = await ledger.add_customer("Ada")
    return ApiClient(client, ledger, clock)


@pytest_asyncio.fixture
async def api(unverified_api: ApiClient) -> AsyncIterator[ApiClient]:
    """A desk whose books must agree when the test is over (rule 34)."""
    yield unverified_api
    assert await unverified_api.verify_problems() == []
