"""Reports over HTTP: a location in New York, a new customer for each test, and a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

import httpx
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from tests.reports.report_client import ReportClient
from tests.support.ledger_builder import LedgerBuilder
from tests.support.users import create_user_token, http_client

NEW_YEAR = datetime(2026, 1, 1, 12, tzinfo=UTC)
_names = count(1)


@pytest_asyncio.fixture(scope="module")
async def ledger(store: Store) -> LedgerBuilder:
    ledger = await LedgerBuilder.create(store)
    await ledger.add_location_profile("America/New_York")
    return ledger


@pytest_asyncio.fixture(scope="module")
async def boss(ledger: LedgerBuilder) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in as an unrestricted administrator, at the builder's time."""
    token = await create_user_token(ledger.store, "boss@example.com", lifetime_days=400)
    async with http_client(build_app(ledger.store, Settings(), lambda: ledger.now), token) as opened:
        yield opened


@pytest_asyncio.fixture
async def reports(boss: httpx.AsyncClient, ledger: LedgerBuilder) -> ReportClient:
    ledger.now = NEW_YEAR
    ledger.customer = await ledger.add_customer(f"Ada {next(_names)}")
    return ReportClient(boss, ledger)
