"""The application over a town of generated rows, on both engines."""

from __future__ import annotations

import httpx
import pytest_asyncio

from creditdesk.schema.repository import Store
from tests.conformance.desk import SEED, Desk, inner
from tests.conformance.facts import CONTRACT
from tests.conformance.model import Town
from tests.conformance.rows import fill, make_rows


@pytest_asyncio.fixture(scope="module")
async def town(store: Store) -> Town:
    """Forty rows of every entity of the contract."""
    return await fill(store, make_rows(SEED))


@pytest_asyncio.fixture(scope="module")
async def desk(town: Town, client: httpx.AsyncClient) -> Desk:
    """The administrator before the town; the administrator is one more user of it."""
    users = CONTRACT["User"]
    whole = (await client.get("/api/auth/me")).json()
    row = {field.name: inner(field, whole[field.name]) for field in users.fields}
    rows = {**town.rows, "User": [*town.rows["User"], row]}
    return Desk(client, Town(rows))
