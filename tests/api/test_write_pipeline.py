"""Every write takes one way: authorize, parse, look up the key, execute, store, retry once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.errors import Conflict
from creditdesk.schema.repository import Store, WriteSession
from tests.support.record_builder import RecordBuilder


class LosingStore:
    """Loses the first transactions to another writer as they commit."""

    def __init__(self, store: Store, losses: int) -> None:
        self._open = store.write_session
        self.losses = losses
        self.opened = 0

    @asynccontextmanager
    async def write_session(self) -> AsyncIterator[WriteSession]:
        self.opened += 1
        async with self._open() as session:
            yield session
            if self.losses:
                self.losses -= 1
                raise Conflict("Another transaction changed the same rows")


@pytest_asyncio.fixture
async def body(builder: RecordBuilder) -> dict[str, object]:
    return {"Name": "Studio", "BusinessId": await builder.create_business("Here")}


@pytest.fixture
def losing(store: Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> LosingStore:
    lost = LosingStore(store, request.param)
    monkeypatch.setattr(store, "write_session", lost.write_session)
    return lost


async def count(client: httpx.AsyncClient) -> int:
    found: int = (await client.get(ResourceType.path(), params={"size": 1})).json()["TotalItems"]
    return found


@pytest.mark.parametrize("losing", [1], indirect=True)
async def test_a_lost_race_is_retried_once(
    client: httpx.AsyncClient, body: dict[str, object], losing: LosingStore
) -> None:
    before = await count(client)
    response = await client.post(ResourceType.path(), json=body, headers={"Idempotency-Key": "once"})
    assert response.json()["WasSuccessful"], response.text
    assert (losing.opened, await count(client)) == (2, before + 1)
    again = await client.post(ResourceType.path(), json=body, headers={"Idempotency-Key": "once"})
    assert again.content == response.content
    assert await count(client) == before + 1


@pytest.mark.parametrize("losing", [2], indirect=True)
async def test_a_race_lost_twice_is_a_conflict_without_effect(
    client: httpx.AsyncClient, body: dict[str, object], losing: LosingStore
) -> None:
    before = await count(client)
    key = {"Idempotency-Key": "twice"}
    response = await client.post(ResourceType.path(), json=body, headers=key)
    assert (response.status_code, losing.opened) == (409, 2)
    assert await count(client) == before
    # A request that failed does not use up its key.
    assert (await client.post(ResourceType.path(), json=body, headers=key)).status_code == 200


async def test_ledger_parameters_are_all_reported_in_order(client: httpx.AsyncClient) -> None:
    body = {
        "BusinessId": "x",
        "Sources": [{"Kind": "wine", "Id": 1}, {"Kind": "charge", "Amount": -1, "FromTime": "now"}],
    }
    response = await client.post("/api/ledger/spends", json=body)
    assert response.status_code == 400
    assert [error["PropertyName"] for error in response.json()["Errors"]] == [
        "CoworkerId", "BusinessId", "Sources[0].Kind", "Sources[1].Id", "Sources[1].Amount",
        "Sources[1].FromTime",
    ]  # fmt: skip


async def test_query_parameters_are_all_reported_in_order(client: httpx.AsyncClient) -> None:
    query = "ResourceType_CreatedOn=soon&page=x&from_ResourceType_UpdatedOn=y&dir=up"
    response = await client.get(f"{ResourceType.path()}?{query}")
    assert response.status_code == 400
    assert [error["PropertyName"] for error in response.json()["Errors"]] == [
        "ResourceType_CreatedOn", "from_ResourceType_UpdatedOn", "dir", "page",
    ]  # fmt: skip


async def test_unknown_references_of_a_use_are_all_reported_in_order(
    client: httpx.AsyncClient,
) -> None:
    path = "/api/billing/coworkerbookingcreditusehistories"
    use = {"EventAttendeeId": 999, "BookingId": 999, "CoworkerBookingCreditId": 999}
    for amount, first in ((5, []), ("x", ["CreditUsed"])):
        response = await client.post(path, json={**use, "CreditUsed": amount})
        assert response.status_code == 400
        assert [error["PropertyName"] for error in response.json()["Errors"]] == [
            "CoworkerBookingCredit", "Booking", "EventAttendee", *first,
        ]  # fmt: skip


async def test_ids_and_parameters_of_an_action_are_reported_together(
    client: httpx.AsyncClient,
) -> None:
    path = "/api/billing/coworkerbookingcredits/runcommand"
    body = {"Key": "adjust_credit", "Ids": [], "Parameters": [{"Name": "Amount", "Value": "x"}]}
    response = await client.post(path, json=body)
    assert response.status_code == 400
    assert [error["PropertyName"] for error in response.json()["Errors"]] == [
        "Ids", "Amount", "Reason",
    ]  # fmt: skip
