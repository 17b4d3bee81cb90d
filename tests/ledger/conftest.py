"""A new ledger for each test, on both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.auth import snapshot_cache
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLReadSession
from creditdesk.storage.sqlite import SQLiteReadSession, SQLiteWriteSession
from tests.support.api_client import ledger_app
from tests.support.databases import ENGINES, NewDatabase
from tests.support.ledger_builder import LedgerBuilder
from tests.support.shared_team import SharedTeam
from tests.support.users import create_user_token, http_client


@pytest_asyncio.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Store]:
    with new_database(request.param) as url:
        opened = await open_store(url)
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
    """Counts sessions and statements, of which none renews the lease of cached users after the first request."""
    monkeypatch.setattr(snapshot_cache, "CACHE_LEASE_MILLISECONDS", 3_600_000)
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
