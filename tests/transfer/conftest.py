"""Empty stores on each engine."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.transfer import file_discovery

_numbers = count(1)


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def new_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Returns a new empty store for each call."""
    async with AsyncExitStack() as stack:

        async def make() -> Store:
            number = next(_numbers)
            if request.param == "sqlite":
                path = tmp_path / f"{number}.db"
                shutil.copy(request.getfixturevalue("sqlite_template"), path)
                url = f"sqlite:///{path}"
            else:
                server = request.getfixturevalue("postgres_server")
                template = request.getfixturevalue("postgres_template")
                name = f"sync_{number}"
                await _run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
                stack.push_async_callback(_run, server, f"DROP DATABASE {name} WITH (FORCE)")
                head, mark, query = server.partition("?")
                url = f"{head.rsplit('/', 1)[0]}/{name}{mark}{query}"
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
async def sqlite_store(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Store]:
    """An empty SQLite store, for tests that do not depend on the engine."""
    path = tmp_path_factory.mktemp("store") / "one.db"
    shutil.copy(sqlite_template, path)
    store = await open_store(f"sqlite:///{path}")
    yield store
    await store.close()


async def _run(server: str, text: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(text)
    finally:
        await connection.close()
