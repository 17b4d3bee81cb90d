"""A server killed at any moment loses nothing it acknowledged and does nothing twice (rule 32)."""

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

from tests.crash.serving import Server, verified
from tests.regression.desk import CREDITS, USES, Desk, charge_of, succeeded

KILLS = 4
CLIENTS = 4
LIVES_SECONDS = (0.2, 1.0)
"""For how long a server is under load before it is killed."""
RETRY_SECONDS = 0.05


@dataclass
class Asked:
    """A call under its key, and the answer it got if it got one."""

    key: str
    path: str
    body: dict[str, Any]
    answer: bytes | None = None


@dataclass
class Load:
    """Clients that put calls of every kind until the server is gone."""

    desk: Desk
    credits: list[int]
    headers: dict[str, str]
    chance: random.Random = field(default_factory=lambda: random.Random(20260310))
    calls: list[Asked] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    async def until_gone(self, address: str) -> None:
        """Every client stops at the first call that is not answered."""
        async with httpx.AsyncClient(base_url=address, headers=self.headers) as client:
            await asyncio.gather(*(self._client(client) for _ in range(CLIENTS)))

    async def _client(self, client: httpx.AsyncClient) -> None:
        while True:
            asked = self._next()
            self.calls.append(asked)
            try:
                answer = await put(client, asked)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            asked.answer = answer.content

    def _next(self) -> Asked:
        number = next(self.numbers)
        credit = self.chance.choice(self.credits)
        path, body = self.chance.choice(
            (
                (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 0.01}),
                ("/api/ledger/spends", self.desk.basket(charge_of(number, 0.01))),
                (CREDITS, self.desk.credit_body("0.01")),
                (
                    "/api/ledger/adjustments",
                    {"Kind": "money", "Id": credit, "Amount": -0.01, "Reason": "count"},
                ),
            )
        )
        return Asked(f"call {number} of {self.desk.town.customer}", path, body)


@pytest_asyncio.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    serving = Server(database, tmp_path / "server.log")
    yield serving
    serving.kill()


async def test_a_server_killed_under_load_loses_nothing_and_doubles_nothing(
    desk: Desk, server: Server
):
    credits_ = [await desk.credit("1000.00", IsUniversalCredit=True) for _ in range(3)]
    headers = {"Authorization": desk.client.headers["Authorization"]}
    load = Load(desk, credits_, headers)
    for _ in range(KILLS):
        await server.start()
        under_load = asyncio.create_task(load.until_gone(server.address))
        await asyncio.sleep(load.chance.uniform(*LIVES_SECONDS))
        server.kill()
        await under_load
    effects = await effects_by_key(desk)
    acknowledged = {asked.key for asked in load.calls if asked.answer is not None}
    assert len(acknowledged) > KILLS
    assert acknowledged <= effects.keys()
    assert set(effects.values()) == {1}

    await server.start()
    async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
        for asked in load.calls:
            again = await put(client, asked)
            assert succeeded(again)
            assert asked.answer in (None, again.content)
            if asked.answer is None:
                assert (await put(client, asked)).content == again.content
    server.kill()
    assert await effects_by_key(desk) == {asked.key: 1 for asked in load.calls}
    checked = verified(server.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def put(client: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    """One call, again while another came first or its key is in flight."""
    while True:
        headers = {"Idempotency-Key": asked.key}
        answer = await client.post(asked.path, json=asked.body, headers=headers)
        if answer.status_code != 409:
            return answer
        await asyncio.sleep(RETRY_SECONDS)


async def effects_by_key(desk: Desk) -> Counter[str]:
    """How many journal lines each call wrote; each of these calls writes one."""
    found: Counter[str] = Counter()
    named = {"JournalLine_Coworker": desk.town.customer, "orderby": "Id"}
    for page in count(1):
        envelope = await desk.get("/api/ledger/entries", size=1000, page=page, **named)
        found.update(r["IdempotencyKey"] for r in envelope["Records"] if r["IdempotencyKey"])
        if not envelope["HasNextPage"]:
            break
    return found
