"""A fresh town for each test, on both engines."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLReadSession
from creditdesk.storage.sqlite import SQLiteReadSession, SQLiteWriteSession
from tests.conftest import (
    ENGINES,
    create_postgres_database,
    create_user_token,
    database_url,
    http_client,
)
from tests.support.api_client import ledger_app
from tests.support.ledger_builder import LedgerBuilder
from tests.support.shared_team import SharedTeam


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


@pytest_asyncio.fixture
async def client(ledger: LedgerBuilder) -> AsyncIterator[httpx.AsyncClient]:
    ledger.now = datetime.now(UTC).replace(microsecond=0)
    token = await create_user_token(ledger.store, "boss@example.com")
    async with http_client(ledger_app(ledger), token) as opened:
        yield opened


@pytest_asyncio.fixture
async def shared_team(ledger: LedgerBuilder) -> SharedTeam:
    return await SharedTeam.create(ledger)


@pytest.fixture
def counters(ledger: LedgerBuilder, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts looks, units and statements."""
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*args, **named)

        monkeypatch.setattr(owner, name, counting)

    count(ledger.store, "read_session")
    count(ledger.store, "write_session")
    for kind in (PostgreSQLReadSession, SQLiteReadSession, SQLiteWriteSession):
        count(kind, "fetch")
    return counted
