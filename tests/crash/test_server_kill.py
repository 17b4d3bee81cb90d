"""A killed server loses nothing that it acknowledged and does nothing twice (rule 32)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from tests.support.api_client import CREDITS, USES, ApiClient, charge_item, succeeded
from tests.support.server_process import ServerProcess, run_verify

SERVER_KILLS = 4
CLIENTS = 4
UPTIME_SECONDS = (0.2, 1.0)
"""How long a server is under load before it is killed."""
ANSWER_SECONDS = 30
"""What its first answers may take on a busy machine."""
RETRY_SECONDS = 0.05


@dataclass
class KeyedRequest:
    """A request with its idempotency key, and its response if it received one."""

    key: str
    path: str
    body: dict[str, Any]
    response: bytes | None = None


@dataclass
class ServerLoad:
    """Clients that send requests of every kind until the server is gone."""

    api: ApiClient
    credits: list[int]
    headers: dict[str, str]
    random: random.Random = field(default_factory=lambda: random.Random(20260310))
    requests: list[KeyedRequest] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    @property
    def acknowledged(self) -> set[str]:
        """The keys of the requests that were answered."""
        return {request.key for request in self.requests if request.response is not None}

    async def run_until_killed(self, address: str) -> None:
        """Runs until each client has a request without a response."""
        async with httpx.AsyncClient(base_url=address, headers=self.headers) as client:
            await asyncio.gather(*(self._client(client) for _ in range(CLIENTS)))

    async def _client(self, client: httpx.AsyncClient) -> None:
        while True:
            keyed_request = self._next()
            self.requests.append(keyed_request)
            try:
                answer = await send_until_answered(client, keyed_request)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            keyed_request.response = answer.content

    def _next(self) -> KeyedRequest:
        number = next(self.numbers)
        credit = self.random.choice(self.credits)
        path, body = self.random.choice(
            (
                (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 0.01}),
                ("/api/ledger/spends", self.api.basket_body(charge_item(number, 0.01))),
                (CREDITS, self.api.credit_body("0.01")),
                (
                    "/api/ledger/adjustments",
                    {"Kind": "money", "Id": credit, "Amount": -0.01, "Reason": "count"},
                ),
            )
        )
        return KeyedRequest(f"call {number} of {self.api.ledger.customer}", path, body)


@pytest_asyncio.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    serving = ServerProcess(database, tmp_path / "server.log")
    yield serving
    serving.kill()


async def test_rule_32_killed_server_loses_and_repeats_nothing(api: ApiClient, server: ServerProcess) -> None:
    credits_ = [await api.create_credit("1000.00", IsUniversalCredit=True) for _ in range(3)]
    headers = {"Authorization": api.http.headers["Authorization"]}
    load = ServerLoad(api, credits_, headers)
    for _ in range(SERVER_KILLS):
        await server.start()
        before = len(load.acknowledged)
        under_load = asyncio.create_task(load.run_until_killed(server.address))
        await asyncio.sleep(load.random.uniform(*UPTIME_SECONDS))
        # On a busy machine the first answers take longer than that.
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(load.acknowledged) < before + 2 and not under_load.done():
                await asyncio.sleep(RETRY_SECONDS)
        server.kill()
        await under_load
    effects = await effects_by_key(api)
    assert len(load.acknowledged) > SERVER_KILLS
    assert load.acknowledged <= effects.keys()
    assert set(effects.values()) == {1}

    await server.start()
    async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
        for keyed_request in load.requests:
            again = await send_until_answered(client, keyed_request)
            assert succeeded(again)
            assert keyed_request.response in (None, again.content)
            if keyed_request.response is None:
                assert (await send_until_answered(client, keyed_request)).content == again.content
    server.kill()
    assert await effects_by_key(api) == {keyed_request.key: 1 for keyed_request in load.requests}
    checked = run_verify(server.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def send_until_answered(client: httpx.AsyncClient, keyed_request: KeyedRequest) -> httpx.Response:
    """Sends a request, again while it conflicts with another or its key is in use."""
    while True:
        headers = {"Idempotency-Key": keyed_request.key}
        answer = await client.post(keyed_request.path, json=keyed_request.body, headers=headers)
        if answer.status_code != 409:
            return answer
        await asyncio.sleep(RETRY_SECONDS)


async def effects_by_key(api: ApiClient) -> Counter[str]:
    """The number of journal lines of each request; each of these requests writes one."""
    found: Counter[str] = Counter()
    named = {"JournalLine_Coworker": api.ledger.customer, "orderby": "Id"}
    for page in count(1):
        envelope = await api.get("/api/ledger/entries", size=1000, page=page, **named)
        found.update(r["IdempotencyKey"] for r in envelope["Records"] if r["IdempotencyKey"])
        if not envelope["HasNextPage"]:
            break
    return found
