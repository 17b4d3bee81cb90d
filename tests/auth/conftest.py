"""A store of one test, on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from tests.support.databases import NewDatabase


@pytest_asyncio.fixture
async def store(new_database: NewDatabase) -> AsyncIterator[Store]:
    with new_database("sqlite") as url:
        opened = await open_store(url)
        yield opened
        await opened.close()
