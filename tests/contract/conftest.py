"""The application over generated rows of every entity, on both engines."""

from __future__ import annotations

import httpx
import pytest_asyncio

from creditdesk.schema.repository import Store
from tests.contract.contract_client import SEED, ContractClient, model_value
from tests.contract.facts import CONTRACT
from tests.contract.model import ContractModel
from tests.contract.rows import generate_rows, insert_rows


@pytest_asyncio.fixture(scope="module")
async def model(store: Store) -> ContractModel:
    """Forty rows of every entity of the contract."""
    return await insert_rows(store, generate_rows(SEED))


@pytest_asyncio.fixture(scope="module")
async def api(model: ContractModel, client: httpx.AsyncClient) -> ContractClient:
    """The administrator's client; the administrator is one more user among the rows."""
    users = CONTRACT["User"]
    whole = (await client.get("/api/auth/me")).json()
    row = {field.name: model_value(field, whole[field.name]) for field in users.fields}
    rows = {**model.rows, "User": [*model.rows["User"], row]}
    return ContractClient(client, ContractModel(rows))
