"""A database killed under load loses nothing that was acknowledged and does nothing twice.

The server recovers by itself, and its clients retry with the same idempotency key (rule 32).
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

from creditdesk.api.error_handlers import UNAVAILABLE_MESSAGE
from tests.crash.test_server_kill import KeyedRequest, effects_by_key
from tests.support.api_client import CREDITS, USES, ApiClient, charge_item, created_id, succeeded
from tests.support.databases import migrate_database
from tests.support.durable_postgres import DurablePostgres
from tests.support.server_process import ServerProcess, run_verify

DATABASE_KILLS = 5
DEEP_DATABASE_KILLS = 60
CLIENTS = 4
UPTIME_SECONDS = (0.1, 0.7)
"""How long a database is under load before it is killed."""
RETRY_SECONDS = 0.05
RECOVERY_SECONDS = 20.0
"""How soon after a restart of its database a server must serve all of its clients."""
RENEWALS = "/api/ledger/renewals"


@pytest.fixture(scope="module")
def postgres() -> Iterator[DurablePostgres]:
    # The server runs as another user where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-durable-"))
    folder.chmod(0o755)
    server = DurablePostgres(folder / "data")
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database(postgres: DurablePostgres) -> str:
    """Replaces the session's databases, which must not be killed."""
    migrate_database(postgres.url)
    return postgres.url


@pytest_asyncio.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    serving = ServerProcess(database, tmp_path / "server.log")
    await serving.start()
    yield serving
    serving.kill()


@dataclass
class DatabaseLoad:
    """Clients that send requests of every kind and retry each with its key until it succeeds."""

    api: ApiClient
    client: httpx.AsyncClient
    credits: list[int]
    random: random.Random = field(default_factory=lambda: random.Random(20260311))
    answered: list[KeyedRequest] = field(default_factory=list)
    errors_seen: set[str] = field(default_factory=set)
    """The errors that clients received."""
    uses: list[int] = field(default_factory=list)
    stopped: bool = False
    numbers: Any = field(default_factory=lambda: count(1))

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while not self.stopped:
            keyed_request = self._next()
            keyed_request.response = (await self.send_until_answered(keyed_request)).content
            self.answered.append(keyed_request)
            if keyed_request.path == USES:
                self.uses.append(created_id(await self.send_until_answered(keyed_request)))

    async def send_until_answered(self, keyed_request: KeyedRequest) -> httpx.Response:
        """Sends a request until it succeeds; errors in between must be documented ones."""
        until = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < until:
            headers = {"Idempotency-Key": keyed_request.key}
            try:
                answer = await self.client.post(keyed_request.path, json=keyed_request.body, headers=headers)
            except httpx.TransportError as fault:
                self.errors_seen.add(type(fault).__name__)
            else:
                if answer.status_code == 200:
                    assert succeeded(answer), answer.text
                    return answer
                assert answer.status_code in (409, 503), (answer.status_code, answer.text)
                self.errors_seen.add(answer.json()["Message"])
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError(f"no answer to {keyed_request}: {self.errors_seen}")

    def _next(self) -> KeyedRequest:
        number = next(self.numbers)
        credit = self.random.choice(self.credits)
        calls: list[tuple[str, dict[str, Any]]] = [
            (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 0.01}),
            ("/api/ledger/spends", self.api.basket_body(charge_item(number, 0.01))),
            (CREDITS, self.api.credit_body("0.01")),
            (
                "/api/ledger/adjustments",
                {"Kind": "money", "Id": credit, "Amount": -0.01, "Reason": "count"},
            ),
        ]
        if self.uses:
            calls.append((f"{USES}/runcommand", {"Key": "REVERSE_USE", "Ids": [self.uses[0]]}))
        path, body = self.random.choice(calls)
        if body.get("Key") == "REVERSE_USE":
            self.uses.pop(0)
        return KeyedRequest(f"call {number} of {self.api.ledger.customer}", path, body)

    async def wait_for_progress(self) -> None:
        """Waits for further responses to every client; fails after RECOVERY_SECONDS."""
        wanted = len(self.answered) + 2 * CLIENTS
        until = time.monotonic() + RECOVERY_SECONDS
        while len(self.answered) < wanted:
            assert time.monotonic() < until, self.errors_seen
            await asyncio.sleep(RETRY_SECONDS)


async def test_rule_32_killed_database_loses_and_repeats_nothing(
    api: ApiClient, server: ServerProcess, postgres: DurablePostgres
) -> None:
    await run_kills_under_load(api, server, postgres, DATABASE_KILLS)


@pytest.mark.deep
async def test_rule_32_many_database_kills_lose_and_repeat_nothing(
    api: ApiClient, server: ServerProcess, postgres: DurablePostgres
) -> None:
    await run_kills_under_load(api, server, postgres, DEEP_DATABASE_KILLS)


async def run_kills_under_load(api: ApiClient, server: ServerProcess, postgres: DurablePostgres, kills: int) -> None:
    credits_ = [await api.create_credit("1000.00", IsUniversalCredit=True) for _ in range(3)]
    headers = {"Authorization": api.http.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=server.address, headers=headers) as client:
        load = DatabaseLoad(api, client, credits_)
        running = asyncio.create_task(load.run())
        try:
            renewed = []
            for number in range(kills):
                renewed.append(await renew_during_crash(load, postgres, number))
                await load.wait_for_progress()
            load.stopped = True
            await running
            assert UNAVAILABLE_MESSAGE in load.errors_seen, "nobody noticed"
        finally:
            running.cancel()
        for keyed_request in [*load.answered, *renewed]:
            assert (await load.send_until_answered(keyed_request)).content == keyed_request.response, keyed_request
    effects = await effects_by_key(api)
    assert {key: effects[key] for key in effects if key.startswith("call ")} == {
        keyed_request.key: 1 for keyed_request in load.answered
    }
    server.kill()
    checked = run_verify(server.database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def renew_during_crash(load: DatabaseLoad, postgres: DurablePostgres, number: int) -> KeyedRequest:
    """Kills the database at a random moment of the renewal of a new contract's first credit."""
    api = load.api
    member = await api.ledger.add_customer("Grace")
    await replace(api, ledger=replace(api.ledger, customer=member)).create_plan_contract()
    keyed_request = KeyedRequest(f"renewal {number} of {api.ledger.customer}", RENEWALS, {})
    delay = load.random.uniform(*UPTIME_SECONDS)
    renewing = asyncio.create_task(_send_later(load, keyed_request, delay))
    await asyncio.sleep(delay)
    await asyncio.to_thread(postgres.crash)
    await asyncio.to_thread(postgres.start)
    keyed_request.response = (await renewing).content
    granted = await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=member)
    assert len(granted) == 1, granted
    return keyed_request


async def _send_later(load: DatabaseLoad, keyed_request: KeyedRequest, delay: float) -> httpx.Response:
    await asyncio.sleep(delay * load.random.uniform(0.9, 1.02))
    return await load.send_until_answered(keyed_request)
