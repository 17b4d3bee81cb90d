"""A long list keeps nobody waiting: it gives way, ends at its deadline, and ends with its caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import pytest
import pytest_asyncio
from starlette.types import Message, Scope

from creditdesk.app import build_app
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.support.ledger_builder import LedgerBuilder
from tests.support.record_builder import stored_row
from tests.support.users import http_client

PATH = ResourceType.path()
FIELDS = 45
ROWS = 1500
DEADLINE_SECONDS = 0.5
CONNECTIONS = 4


def long_list(fields: int = FIELDS) -> str:
    """A list whose filters all hold for every row; no index serves them."""
    return f"{PATH}?{urlencode({f'ResourceType_CustomFields_Field{n}': 'v' for n in range(fields)})}"


@pytest_asyncio.fixture(scope="module")
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database, connections=CONNECTIONS)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", autouse=True)
async def rows(store: Store, ledger: LedgerBuilder) -> None:
    fields = {"Data": [{"Name": f"Field{n}", "Value": "value", "Type": "string"} for n in range(FIELDS)]}
    async with store.write_session() as session:
        await session.insert(
            ResourceType,
            [
                stored_row(ResourceType, Name=f"Type {n}", BusinessId=ledger.business, CustomFields=fields)
                for n in range(ROWS)
            ],
        )


async def running_statements(store: Any, database: str) -> int:
    """How many long reads the engine executes."""
    if database.startswith("sqlite"):
        return len(store._reader._running)
    connection = await asyncpg.connect(database)
    try:
        active: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND state = 'active' AND query LIKE '%resource_type%' AND pid <> pg_backend_pid()"
        )
        return active
    finally:
        await connection.close()


async def wait_for_statements(store: Store, database: str, wanted: bool) -> None:
    """Returns once the engine executes any long read, or none."""
    async with asyncio.timeout(10):
        while bool(await running_statements(store, database)) != wanted:
            await asyncio.sleep(0.005)


async def test_short_calls_are_answered_while_more_long_lists_run_than_connections(
    client: httpx.AsyncClient, store: Store, database: str
) -> None:
    # Each of its own shape, so that none is known to be long.
    long = [asyncio.create_task(client.get(long_list(FIELDS - n))) for n in range(3 * CONNECTIONS)]
    await wait_for_statements(store, database, wanted=True)
    for path in ("/health", "/ready", f"{PATH}?size=1&orderBy=Id", f"{PATH}/1", "/api/spaces/resources"):
        answer = await client.get(path)
        assert answer.status_code in (200, 404), answer.text
        assert not any(task.done() for task in long), path
    assert await running_statements(store, database) > 0
    for task in long:
        task.cancel()
    await asyncio.gather(*long, return_exceptions=True)
    await wait_for_statements(store, database, wanted=False)
    answer = await client.get(f"{long_list()}&size=1")
    assert answer.json()["TotalItems"] >= ROWS


async def test_list_over_the_deadline_is_503_and_its_statement_is_cancelled(database: str, admin_token: str) -> None:
    limited = await open_store(database, connections=2, statement_seconds=DEADLINE_SECONDS)
    async with http_client(build_app(limited, Settings()), admin_token) as client:
        answers = await asyncio.gather(*(client.get(long_list(FIELDS - n)) for n in range(4)))
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.headers["Retry-After"] == "1"
            assert "within 0.5 seconds" in answer.json()["Message"]
        await wait_for_statements(limited, database, wanted=False)
        assert (await client.get(f"{PATH}?size=1")).json()["TotalItems"] >= ROWS
    await limited.close()


async def test_list_ends_when_its_caller_disconnects(store: Store, database: str, admin_token: str) -> None:
    disconnected = asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        await disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = long_list().partition("?")
    scope: Scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {admin_token}".encode())], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    app = build_app(store, Settings())

    async def run() -> None:
        await app(scope, receive, send)

    call = asyncio.create_task(run())
    await wait_for_statements(store, database, wanted=True)
    await asyncio.sleep(0.2)
    assert not call.done()
    disconnected.set()
    await call
    assert sent == []
    await wait_for_statements(store, database, wanted=False)


@pytest.mark.parametrize("disconnects", [True, False])
async def test_short_read_is_answered_whatever_receive_returns(
    store: Store, admin_token: str, *, disconnects: bool
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect" if disconnects else "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http", "method": "GET", "path": "/api/auth/me", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {admin_token}".encode())], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await build_app(store, Settings())(scope, receive, send)
    assert sent[0]["status"] == 200
