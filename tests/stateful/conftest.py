"""A fast store for many simulations, and the detector of changes in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore
from tests.stateful.change_detection import ChangeDetector, change_detector_for


@pytest_asyncio.fixture(scope="module")
async def fast_store(store: Store, database: str) -> AsyncIterator[Store]:
    """The module's store without durability, with plans that use indexes."""
    if isinstance(store, SQLiteStore):
        store.connection.execute("PRAGMA synchronous = OFF")
        yield store
    elif isinstance(store, PostgreSQLStore):
        async with store.pool.acquire() as connection:
            name = await connection.fetchval("SELECT current_database()")
            # A simulation reads the newest rows only, which a generic plan does not consider.
            await connection.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")
        # New connections, which have the setting.
        opened = await open_store(database)
        yield opened
        await opened.close()


@pytest.fixture(scope="module")
def change_detector(fast_store: Store) -> Iterator[ChangeDetector]:
    opened = change_detector_for(fast_store)
    yield opened
    opened.close()
