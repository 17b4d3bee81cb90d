"""A ledger, HTTP clients for principals with different roles, and writes that bypass the triggers."""

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
from tests.support.ledger_builder import LedgerBuilder

Tamper = Callable[[str], Awaitable[None]]
CreateCheckpoint = Callable[[], Awaitable[Checkpoint]]


@pytest_asyncio.fixture(scope="module")
async def ledger(store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(store)


@pytest.fixture(scope="module")
def make_checkpoint(store: Store, ledger: LedgerBuilder) -> CreateCheckpoint:
    """Creates a checkpoint at the time of the ledger."""

    async def make() -> Checkpoint:
        async with store.write_session() as session:
            return await create_checkpoint(session, ledger.now)

    return make


class _StaticPrincipals:
    """Authenticates the principal whose name is the bearer token."""

    def __init__(self, principals: dict[str, Principal]) -> None:
        self.principals = principals

    async def authenticate(self, authorization: str | None, now: datetime, address: str | None = None) -> Principal:
        found = self.principals.get((authorization or "").removeprefix("Bearer "))
        if found is None:
            raise Unauthenticated("Sign in first.")
        return found

    async def open_frame(self, link: str, now: datetime) -> str:
        raise Unauthenticated("There are no links here.")


@pytest_asyncio.fixture(scope="module")
async def client_for(store: Store, ledger: LedgerBuilder) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Clients: `reader` of the location, `outsider` of another one, `clerk` without a role, `nobody`."""
    reads = frozenset({"ledger-read"})
    principals = {
        "reader": Principal(2, "reader@example.com", roles=reads, locations=frozenset({ledger.business})),
        "outsider": Principal(3, "away@example.com", roles=reads, locations=frozenset({999})),
        "clerk": Principal(4, "clerk@example.com", locations=frozenset({ledger.business})),
    }
    context = replace(
        build_context(store, Settings()),
        authenticator=_StaticPrincipals(principals),
        extra_routes=audit_routes(),
    )
    api: Any = Api(context)
    clients = {
        name: httpx.AsyncClient(
            transport=httpx.ASGITransport(api, raise_app_exceptions=False),
            base_url="http://test",
            headers={"Authorization": f"Bearer {name}"},
        )
        for name in (*principals, "nobody")
    }
    yield clients.__getitem__
    for client in clients.values():
        await client.aclose()


@pytest.fixture(scope="module")
def tamper(store: Any) -> Tamper:
    """Runs a statement after dropping the triggers that protect its table."""

    async def run(text: str) -> None:
        table = text.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0]
        at = "" if isinstance(store, SQLiteStore) else f" ON {table}"
        for guard in (f"{table}_no_update", f"{table}_no_delete"):
            await execute(store, f"DROP TRIGGER IF EXISTS {guard}{at}")
        await execute(store, text)

    return run


async def execute(store: Any, text: str) -> None:
    """Runs a statement directly on the database."""
    if isinstance(store, SQLiteStore):
        store.connection.execute(text)
    else:
        async with store.pool.acquire() as connection:
            await connection.execute(text)
