"""A second worker over the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.support.api_client import AdjustableClock
from tests.support.users import http_client


@pytest_asyncio.fixture(scope="module")
async def other_worker(database: str, admin_token: str, clock: AdjustableClock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of another worker: an application with its own connections."""
    store = await open_store(database)
    async with http_client(build_app(store, Settings(), clock), admin_token) as opened:
        yield opened
    await store.close()
