"""A database killed at any moment under load: nothing acknowledged is lost, nothing done twice.

The server over it recovers by itself, and its callers retry with the same key (rule 32).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.api.error_handlers import UNREACHED
from tests.conftest import apart, migrate
from tests.crash.durable import DurablePostgres
from tests.crash.serving import Server, verified
from tests.crash.test_kill import Asked, effects_by_key
from tests.crash.test_lost_connections import on_a_plan
from tests.regression.desk import CREDITS, USES, Desk, charge_of, made, succeeded

KILLS = 5
MANY_KILLS = 60
CLIENTS = 4
LIVES_SECONDS = (0.1, 0.7)
"""For how long a database is under load before it is killed."""
RETRY_SECONDS = 0.05
RECOVERY_SECONDS = 20.0
"""Within this a server whose database is back must serve all of its callers again."""
RENEWALS = "/api/ledger/renewals"


@pytest.fixture(scope="module")
def postgres() -> Iterator[DurablePostgres]:
    # The database runs as another user where the tests are run by root.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-durable-"))
    folder.chmod(0o755)
    server = DurablePostgres(folder / "data")
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database(postgres: DurablePostgres) -> str:
    """In place of the session's databases, which nobody may kill."""
    apart(migrate(postgres.url))
    return postgres.url


@pytest_asyncio.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[Server]:
    serving = Server(database, tmp_path / "server.log")
    await serving.start()
    yield serving
    serving.kill()


@dataclass
class Load:
    """Clients that put calls of every kind, each again under its key until it is answered."""

    desk: Desk
    client: httpx.AsyncClient
    credits: list[int]
    chance: random.Random = field(default_factory=lambda: random.Random(20260311))
    answered: list[Asked] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """What callers were told instead of an answer."""
    uses: list[int] = field(default_factory=list)
    stopped: bool = False
    numbers: Any = field(default_factory=lambda: count(1))

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while not self.stopped:
            asked = self._next()
            asked.answer = (await self.put(asked)).content
            self.answered.append(asked)
            if asked.path == USES:
                self.uses.append(made(await self.put(asked)))

    async def put(self, asked: Asked) -> httpx.Response:
        """One call, again while it is not answered; whatever is said meanwhile has its shape."""
        until = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < until:
            headers = {"Idempotency-Key": asked.key}
            try:
                answer = await self.client.post(asked.path, json=asked.body, headers=headers)
            except httpx.TransportError as fault:
                self.told.add(type(fault).__name__)
            else:
                if answer.status_code == 200:
                    assert succeeded(answer), answer.text
                    return answer
                assert answer.status_code in (409, 503), (answer.status_code, answer.text)
                self.told.add(answer.json()["Message"])
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError(f"no answer to {asked}: {self.told}")

    def _next(self) -> Asked:
        number = next(self.numbers)
        credit = self.chance.choice(self.credits)
        calls: list[tuple[str, dict[str, Any]]] = [
            (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 0.01}),
            ("/api/ledger/spends", self.desk.basket(charge_of(number, 0.01))),
            (CREDITS, self.desk.credit_body("0.01")),
            (
                "/api/ledger/adjustments",
                {"Kind": "money", "Id": credit, "Amount": -0.01, "Reason": "count"},
            ),
        ]
        if self.uses:
            calls.append((f"{USES}/runcommand", {"Key": "REVERSE_USE", "Ids": [self.uses[0]]}))
        path, body = self.chance.choice(calls)
        if body.get("Key") == "REVERSE_USE":
            self.uses.pop(0)
        return Asked(f"call {number} of {self.desk.town.customer}", path, body)

    async def progress(self) -> None:
        """Every client got further answers; fails when that takes too long."""
        wanted = len(self.answered) + 2 * CLIENTS
        until = time.monotonic() + RECOVERY_SECONDS
        while len(self.answered) < wanted:
            assert time.monotonic() < until, self.told
            await asyncio.sleep(RETRY_SECONDS)


async def test_a_database_killed_under_load_loses_nothing_and_doubles_nothing(
    desk: Desk, server: Server, postgres: DurablePostgres
):
    await under_load(desk, server, postgres, KILLS)


@pytest.mark.deep
async def test_a_database_killed_many_times_loses_nothing_and_doubles_nothing(
    desk: Desk, server: Server, postgres: DurablePostgres
):
    await under_load(desk, server, postgres, MANY_KILLS)


async def under_load(desk: Desk, server: Server, postgres: DurablePostgres, kills: int) -> None:
    credits_ = [await desk.credit("1000.00", IsUniversalCredit=True) for _ in range(3)]
    headers = {"Authorization": desk.client.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
        load = Load(desk, client, credits_)
        running = asyncio.create_task(load.run())
        try:
            renewed = []
            for number in range(kills):
                renewed.append(await renewed_amid_a_crash(load, postgres, number))
                await load.progress()
            load.stopped = True
            await running
            assert UNREACHED in load.told, "nobody noticed"
        finally:
            running.cancel()
        for asked in [*load.answered, *renewed]:
            assert (await load.put(asked)).content == asked.answer, asked
    effects = await effects_by_key(desk)
    assert {key: effects[key] for key in effects if key.startswith("call ")} == {
        asked.key: 1 for asked in load.answered
    }
    server.kill()
    checked = verified(server.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def renewed_amid_a_crash(load: Load, postgres: DurablePostgres, number: int) -> Asked:
    """The database dies at some moment while a new contract's first credit falls due."""
    desk = load.desk
    member = await desk.town.add_customer("Grace")
    await on_a_plan(replace(desk, town=replace(desk.town, customer=member)))
    asked = Asked(f"renewal {number} of {desk.town.customer}", RENEWALS, {})
    moment = load.chance.uniform(*LIVES_SECONDS)
    renewing = asyncio.create_task(_later(load, asked, moment))
    await asyncio.sleep(moment)
    await asyncio.to_thread(postgres.crash)
    await asyncio.to_thread(postgres.start)
    asked.answer = (await renewing).content
    granted = await desk.rows(CREDITS, CoworkerBookingCredit_Coworker=member)
    assert len(granted) == 1, granted
    return asked


async def _later(load: Load, asked: Asked, moment: float) -> httpx.Response:
    await asyncio.sleep(moment * load.chance.uniform(0.9, 1.02))
    return await load.put(asked)
