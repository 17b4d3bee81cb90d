"""Empty stores on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.transfer import file_discovery
from tests.support.databases import ENGINES, NewDatabase


@pytest_asyncio.fixture(params=ENGINES)
async def new_store(
    request: pytest.FixtureRequest, new_database: NewDatabase
) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Returns a new empty store for each call."""
    async with AsyncExitStack() as stack:

        async def make() -> Store:
            url = stack.enter_context(new_database(request.param))
            store = await open_store(url)
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest.fixture(params=["batches", "bulk load"])
def import_into_empty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the test with imports in batches and as a bulk load, whatever the size of the files."""
    least = 0 if request.param == "bulk load" else 1 << 40
    monkeypatch.setattr(file_discovery, "BULK_LOAD_MIN_BYTES", least)


@pytest_asyncio.fixture
async def sqlite_store(new_database: NewDatabase) -> AsyncIterator[Store]:
    """An empty SQLite store, for tests that do not depend on the engine."""
    with new_database("sqlite") as url:
        store = await open_store(url)
        yield store
        await store.close()
