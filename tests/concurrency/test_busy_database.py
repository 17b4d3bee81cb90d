"""A SQLite file that another program holds: writes wait within a bound, then 503; reads go on."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.ledger.batching import MAX_BATCH_SIZE
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from tests.support.api_client import CREDITS, USES, ApiClient
from tests.support.databases import NewDatabase, run_sql

BUSY_SECONDS = 3
"""Long beside what a busy machine adds to the requests of a test, so that times tell how often a write waited."""


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    """A SQLite file alone: PostgreSQL has no lock of the whole database."""
    with new_database("sqlite") as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database, busy_seconds=BUSY_SECONDS)
    yield opened
    await opened.close()


@pytest.mark.parametrize("kind", ["use", "record", "basket"])
async def test_writes_beside_another_writer_end_within_the_bound(api: ApiClient, database: str, kind: str) -> None:
    credit = await api.create_credit("500.00", IsUniversalCredit=True)
    requests = {
        "use": (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1}),
        "record": (ResourceType.path(), {"Name": "Desk", "BusinessId": api.ledger.business}),
        "basket": (
            "/api/ledger/spends",
            api.basket_body({"Kind": "charge", "Id": 1, "Amount": 1}),
        ),
    }
    path, body = requests[kind]

    async def send(number: int) -> tuple[float, httpx.Response]:
        started = time.monotonic()
        answer = await api.post(path, body, f"{kind} {credit} {number}")
        return time.monotonic() - started, answer

    numbers = range(MAX_BATCH_SIZE + 20)
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        sending = [asyncio.create_task(send(number)) for number in numbers]
        await asyncio.sleep(BUSY_SECONDS / 4)
        assert await api.remaining(credit) == 500
        answers = await asyncio.gather(*sending)
        other.execute("ROLLBACK")
    assert {answer.status_code for _, answer in answers} == {503}
    assert {answer.headers["Retry-After"] for _, answer in answers} == {"1"}
    assert "Another program holds the database" in answers[0][1].json()["Message"]
    assert max(seconds for seconds, _ in answers) < 2 * BUSY_SECONDS, "a write waited more than once"
    again = await asyncio.gather(*map(send, numbers))
    assert {answer.status_code for _, answer in again} == {200}
    if kind == "use":
        assert await api.remaining(credit) == 500 - len(numbers)


async def test_write_goes_on_when_the_other_writer_ends_in_time(api: ApiClient, database: str) -> None:
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        sending = asyncio.create_task(api.post(CREDITS, api.credit_body("1.00")))
        await asyncio.sleep(BUSY_SECONDS / 4)
        other.execute("ROLLBACK")
        assert (await sending).status_code == 200


async def test_integrity_check_finds_nothing(api: ApiClient, database: str) -> None:
    credit = await api.create_credit("5.00")
    await api.post_use(credit, "1.00")
    for check in ("integrity_check", "quick_check"):
        assert await run_sql(database, f"PRAGMA {check}") == [("ok",)]
