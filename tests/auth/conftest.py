"""Stores of one test: `store` on SQLite, `each_store` on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from tests.support.databases import ENGINES, NewDatabase


@pytest_asyncio.fixture
async def store(new_database: NewDatabase) -> AsyncIterator[Store]:
    with new_database("sqlite") as url:
        opened = await open_store(url)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(params=ENGINES)
async def each_store(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Store]:
    with new_database(request.param) as url:
        opened = await open_store(url)
        yield opened
        await opened.close()
