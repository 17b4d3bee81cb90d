"""The desk of tests/regression, and a second worker over the same records."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.conftest import http_client
from tests.regression.conftest import (  # noqa: F401 - pytest finds its fixtures by these names
    admin_token,
    api,
    app,
    clock,
    ledger,
    unverified_api,
)
from tests.support.api_client import AdjustableClock


@pytest_asyncio.fixture(scope="module")
async def other_worker(
    database: str,
    admin_token: str,  # noqa: F811 - the fixtures imported above
    clock: AdjustableClock,  # noqa: F811
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of another worker: an application of its own with connections of its own."""
    store = await open_store(database)
    async with http_client(build_app(store, Settings(), clock), admin_token) as opened:
        yield opened
    await store.close()
