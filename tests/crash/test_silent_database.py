"""A database host that falls silent, or turns read-only: answers stay in time and say what holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from asyncpg.exceptions import TargetServerAttributeNotMatched

from creditdesk.api.error_handlers import UNAVAILABLE_MESSAGE
from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.connector import CONNECT_SECONDS, PROBE_SECONDS, HostConnector
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.silence_watch import INTERVAL_SECONDS, QUIET_SECONDS
from creditdesk.storage.urls import single_host_urls
from tests.support.api_client import CREDITS, USES, ApiClient, created_id
from tests.support.database_host import DatabaseHost
from tests.support.databases import NewDatabase, database_name, run_sql
from tests.support.users import http_client

STATEMENT_SECONDS = 0.5
SLACK_SECONDS = 1.5
"""What a busy machine may add to a deadline."""


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    """A PostgreSQL database alone: SQLite has no host."""
    with new_database("postgresql") as url:
        yield url


@pytest_asyncio.fixture
async def hosts(database: str) -> AsyncIterator[tuple[DatabaseHost, DatabaseHost]]:
    """Two hosts of the same database."""
    async with DatabaseHost(database) as one, DatabaseHost(database) as other:
        yield one, other


async def _open(url: str) -> Store:
    """The store. A busy machine may need longer than the short deadline for a statement: then once more."""
    async with asyncio.timeout(20):
        while True:
            with suppress(ConnectionError):
                return await open_store(url, connections=3, statement_seconds=STATEMENT_SECONDS)


@pytest_asyncio.fixture
async def connected(database: str, hosts: tuple[DatabaseHost, DatabaseHost]) -> AsyncIterator[Store]:
    """A store over a URL that names both hosts."""
    named = ",".join(f"127.0.0.1:{host.port}" for host in hosts)
    user = urlsplit(database).username
    url = f"postgresql://{user}@{named}/{database_name(database)}"
    store = await _open(url)
    yield store
    async with asyncio.timeout(10):
        await store.close()


async def test_silent_host_is_left_for_the_next_within_its_deadlines(
    api: ApiClient, connected: Store, hosts: tuple[DatabaseHost, DatabaseHost], admin_token: str
) -> None:
    credit = await api.create_credit("100.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}

    async with http_client(build_app(connected, Settings()), admin_token) as client:

        async def post(key: str) -> int:
            headers = {"Idempotency-Key": f"{key} of {credit}"}
            answer = await client.post(USES, json=body, headers=headers)
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
                assert "nothing was changed" not in answer.json()["Message"].lower()
            return answer.status_code

        assert await post("first") == 200
        hosts[0].silent = True
        started = time.monotonic()
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert time.monotonic() - started < 1 + SLACK_SECONDS
        assert (await client.get("/health")).status_code == 200
        keys = [f"call {number}" for number in range(20)]
        while not all(status == 200 for status in await asyncio.gather(*map(post, keys))):
            assert time.monotonic() - started < 6 + SLACK_SECONDS
        assert (await client.get("/ready")).status_code == 200
    assert await api.remaining(credit) == 100 - 1 - len(keys)


async def test_commit_without_an_answer_is_in_doubt_and_done_once(
    api: ApiClient, connected: Store, hosts: tuple[DatabaseHost, DatabaseHost], admin_token: str
) -> None:
    credit = await api.create_credit("100.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}
    async with http_client(build_app(connected, Settings()), admin_token) as client:
        # Signed in before: signing in reads in a transaction of its own.
        assert (await client.get(f"{CREDITS}/{credit}")).status_code == 200
        hosts[0].silent_from_commit = True
        started = time.monotonic()
        answer = await client.post(USES, json=body)
        assert time.monotonic() - started < STATEMENT_SECONDS + CONNECT_SECONDS + SLACK_SECONDS
    assert hosts[0].commits == 1
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["Message"] == UNAVAILABLE_MESSAGE
    assert await api.remaining(credit) == 99


async def test_silence_is_noticed_before_the_deadline_of_a_statement(
    api: ApiClient, database: str, hosts: tuple[DatabaseHost, DatabaseHost], admin_token: str
) -> None:
    credit = await api.create_credit("100.00")
    named = ",".join(f"127.0.0.1:{host.port}" for host in hosts)
    url = f"postgresql://{urlsplit(database).username}@{named}/{database_name(database)}"
    store = await open_store(url, connections=3, statement_seconds=60)
    try:
        async with http_client(build_app(store, Settings()), admin_token) as client:
            body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}
            key = {"Idempotency-Key": f"silence of {credit}"}
            assert (await client.get(f"{CREDITS}/{credit}")).status_code == 200
            hosts[0].silent = True
            started = time.monotonic()
            while (status := (await client.post(USES, json=body, headers=key)).status_code) != 200:
                assert status == 503
            assert time.monotonic() - started < 6 + SLACK_SECONDS
    finally:
        await store.close()
    assert await api.remaining(credit) == 99


async def test_long_statement_on_a_host_that_answers_goes_on(connected: Store) -> None:
    store = cast("PostgreSQLStore", connected)
    async with store.pool.acquire() as connection:
        seconds = QUIET_SECONDS + PROBE_SECONDS + 2 * INTERVAL_SECONDS
        assert await connection.fetchval(f"SELECT 1 FROM pg_sleep({seconds})", timeout=30) == 1


async def test_both_hosts_silent_are_503_for_everyone_within_the_deadlines(
    api: ApiClient, connected: Store, hosts: tuple[DatabaseHost, DatabaseHost], admin_token: str
) -> None:
    credit = await api.create_credit("100.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}
    async with http_client(build_app(connected, Settings()), admin_token) as client:
        assert (await client.get("/ready")).status_code == 200
        for host in hosts:
            host.silent = True
        started = time.monotonic()
        answers = await asyncio.gather(*(client.post(USES, json=body) for _ in range(40)))
        assert {answer.status_code for answer in answers} == {503}
        assert time.monotonic() - started < 4 * CONNECT_SECONDS + SLACK_SECONDS
        assert (await client.get("/ready")).status_code == 503
    assert await api.remaining(credit) == 100


async def test_read_only_database_is_not_ready(api: ApiClient, database: str, admin_token: str) -> None:
    name = database_name(database)
    await run_sql(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store = await open_store(database)
    try:
        async with http_client(build_app(store, Settings()), admin_token) as client:
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()) == (503, {"Status": "read-only"})
            answer = await client.post(USES, json={"CoworkerBookingCreditId": 1, "CreditUsed": 1})
            assert answer.status_code == 503
    finally:
        await store.close()
        await run_sql(
            database,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )
    assert created_id(await api.post_use(await api.create_credit("1.00"), "1.00"))


async def test_no_host_that_takes_writes_is_503(
    api: ApiClient, connected: Store, database: str, admin_token: str
) -> None:
    credit = await api.create_credit("1.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}
    name = database_name(database)
    async with http_client(build_app(connected, Settings()), admin_token) as client:
        assert (await client.get(f"{CREDITS}/{credit}")).status_code == 200
        await run_sql(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            await run_sql(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{name}' AND pid <> pg_backend_pid()",
            )
            answers = [await client.post(USES, json=body) for _ in range(5)]
        finally:
            await run_sql(
                database,
                "SET default_transaction_read_only = off",
                f"ALTER DATABASE {name} RESET default_transaction_read_only",
            )
        assert {(answer.status_code, answer.headers.get("Retry-After")) for answer in answers} == {(503, "1")}
        assert (await client.post(USES, json=body)).status_code == 200


async def test_host_that_takes_no_writes_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    class Connection:
        _transport = asyncio.Transport()

    async def connect(url: str, **options: object) -> Connection:
        tried.append(urlsplit(url).hostname or "")
        if tried[-1] == "replica":
            raise TargetServerAttributeNotMatched("read-only")
        return Connection()

    monkeypatch.setattr("asyncpg.connect", connect)
    connector = HostConnector("postgresql://replica,primary/d")
    assert isinstance(await connector(""), Connection)
    assert tried == ["replica", "primary"]
    await connector("")
    assert tried == ["replica", "primary", "primary"]
    with pytest.raises(ConnectionError, match="no host that takes writes"):
        await HostConnector("postgresql://replica,replica/d")("")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@a:1/d?x=1", ["postgresql://u:p@a:1/d?x=1"]),
        ("postgresql:///d?host=/run", ["postgresql:///d?host=/run"]),
        (
            "postgresql://u:p@a:1,b/d",
            [f"postgresql://u:p@{h}/d?target_session_attrs=read-write" for h in ("a:1", "b")],
        ),
        (
            "postgresql://u@/d?host=a,b&port=1&target_session_attrs=any",
            [f"postgresql://u@/d?target_session_attrs=any&host={h}&port=1" for h in ("a", "b")],
        ),
    ],
)
def test_each_host_of_a_url_is_tried_alone(url: str, expected: list[str]) -> None:
    assert list(single_host_urls(url)) == expected
