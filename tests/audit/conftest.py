"""A town with a past, the wire over it for several callers, and a way to meddle past the guards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.api.audit.routes import audit_routes
from creditdesk.api.routes import Api
from creditdesk.app import build_context
from creditdesk.audit.checkpoint_format import Checkpoint
from creditdesk.audit.checkpoints import create_checkpoint
from creditdesk.schema.errors import Unauthenticated
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Principal
from creditdesk.settings import Settings
from creditdesk.storage.sqlite import SQLiteStore
from tests.ledger.town import LedgerBuilder

Tamper = Callable[[str], Awaitable[None]]
CreateCheckpoint = Callable[[], Awaitable[Checkpoint]]


@pytest_asyncio.fixture(scope="module")
async def town(store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(store)


@pytest.fixture(scope="module")
def seal(store: Store, town: LedgerBuilder) -> CreateCheckpoint:
    """Makes a checkpoint at the town's time."""

    async def make() -> Checkpoint:
        async with store.write_session() as unit:
            return await create_checkpoint(unit, town.now)

    return make


class _StaticPrincipals:
    """Signs in whoever is named in the header, without more ado."""

    def __init__(self, callers: dict[str, Principal]) -> None:
        self.callers = callers

    async def authenticate(
        self, authorization: str | None, now: datetime, address: str | None = None
    ) -> Principal:
        found = self.callers.get((authorization or "").removeprefix("Bearer "))
        if found is None:
            raise Unauthenticated("Sign in first.")
        return found


@pytest_asyncio.fixture(scope="module")
async def wire(
    store: Store, town: LedgerBuilder
) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """A client for `reader` (of the town), `stranger` (of another place), `clerk` (no role)."""
    reads = frozenset({"ledger-read"})
    callers = {
        "reader": Principal(
            2, "reader@example.com", roles=reads, locations=frozenset({town.business})
        ),
        "stranger": Principal(3, "away@example.com", roles=reads, locations=frozenset({999})),
        "clerk": Principal(4, "clerk@example.com", locations=frozenset({town.business})),
    }
    parts = replace(
        build_context(store, Settings()),
        authenticator=_StaticPrincipals(callers),
        extra_routes=audit_routes(),
    )
    api: Any = Api(parts)
    clients = {
        name: httpx.AsyncClient(
            transport=httpx.ASGITransport(api, raise_app_exceptions=False),
            base_url="http://desk",
            headers={"Authorization": f"Bearer {name}"},
        )
        for name in (*callers, "nobody")
    }
    yield clients.__getitem__
    for client in clients.values():
        await client.aclose()


@pytest.fixture(scope="module")
def meddle(store: Any) -> Tamper:
    """Runs a statement as someone would who has the database in their hands."""

    async def run(text: str) -> None:
        table = text.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0]
        at = "" if isinstance(store, SQLiteStore) else f" ON {table}"
        for guard in (f"{table}_no_update", f"{table}_no_delete"):
            await execute(store, f"DROP TRIGGER IF EXISTS {guard}{at}")
        await execute(store, text)

    return run


async def execute(store: Any, text: str) -> None:
    """Runs a statement past the program."""
    if isinstance(store, SQLiteStore):
        store.connection.execute(text)
    else:
        async with store.pool.acquire() as connection:
            await connection.execute(text)
