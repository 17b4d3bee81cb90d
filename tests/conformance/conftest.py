"""The application over a town of generated rows, on both engines."""

from __future__ import annotations

import httpx
import pytest_asyncio

from creditdesk.schema.repository import Store
from tests.conformance.desk import SEED, ContractClient, model_value
from tests.conformance.facts import CONTRACT
from tests.conformance.model import ContractModel
from tests.conformance.rows import generate_rows, insert_rows


@pytest_asyncio.fixture(scope="module")
async def town(store: Store) -> ContractModel:
    """Forty rows of every entity of the contract."""
    return await insert_rows(store, generate_rows(SEED))


@pytest_asyncio.fixture(scope="module")
async def desk(town: ContractModel, client: httpx.AsyncClient) -> ContractClient:
    """The administrator before the town; the administrator is one more user of it."""
    users = CONTRACT["User"]
    whole = (await client.get("/api/auth/me")).json()
    row = {field.name: model_value(field, whole[field.name]) for field in users.fields}
    rows = {**town.rows, "User": [*town.rows["User"], row]}
    return ContractClient(client, ContractModel(rows))
