"""The application over a store whose connection can be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, Settings
from tests.support.api_client import AdjustableClock
from tests.support.database_host import DatabaseHost
from tests.support.failing_store import FailingStore
from tests.support.server_process import ENCRYPTION_KEY


@pytest_asyncio.fixture
async def host(database: str) -> AsyncIterator[DatabaseHost]:
    """A port of the PostgreSQL database that can fall silent."""
    async with DatabaseHost(database) as opened:
        yield opened


@pytest.fixture(scope="module")
def failing_store(store: Store) -> FailingStore:
    return FailingStore(store)


@pytest.fixture(scope="module")
def app(failing_store: FailingStore, clock: AdjustableClock) -> ASGIApp:
    """The application over a connection that tests can cut."""
    settings = Settings(auth=AuthSettings(encryption_key=ENCRYPTION_KEY))
    return build_app(failing_store, settings, clock)
