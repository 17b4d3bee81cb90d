"""A fresh town for each test, on both engines."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from tests.conftest import ENGINES, create_postgres_database, database_url
from tests.support.ledger_builder import LedgerBuilder


@pytest_asyncio.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "town.db")
        opened = await open_store(f"sqlite:///{tmp_path}/town.db")
    else:
        server = request.getfixturevalue("postgres_server")
        name = create_postgres_database(server, request.getfixturevalue("postgres_template"))
        opened = await open_store(database_url(server, name))
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def ledger(store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(store)
