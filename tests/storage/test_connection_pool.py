"""The pool hands each connection to one session at a time, and reuses it while it is intact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from creditdesk.storage import pool
from creditdesk.storage.pool import ConnectionPool, StatementCancelled
from creditdesk.storage.postgresql import connect

POOL_SIZE = 2


@pytest_asyncio.fixture
async def connections(postgres_server: str) -> AsyncIterator[ConnectionPool]:
    pool = await asyncpg.create_pool(postgres_server, min_size=1, max_size=POOL_SIZE)
    pool_under_test = ConnectionPool(pool, POOL_SIZE)
    yield pool_under_test
    async with asyncio.timeout(10):
        await pool_under_test.close()


async def server_process(connection: Any) -> int:
    """The server process of a connection."""
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def use_once(connections: ConnectionPool) -> int:
    async with connections.acquire() as connection:
        return await server_process(connection)


async def test_released_connection_is_reused(connections: ConnectionPool) -> None:
    assert await use_once(connections) == await use_once(connections)


async def test_pool_waits_beyond_its_size(
    connections: ConnectionPool,
) -> None:
    first, second = await connections.checkout(), await connections.checkout()
    assert await server_process(first) != await server_process(second)
    third = asyncio.create_task(connections.checkout())
    await asyncio.sleep(0.05)
    assert not third.done()
    await connections.checkin(first, None)
    assert await third is first
    await connections.checkin(first, None)
    await connections.checkin(second, None)


async def test_cancelled_waiter_loses_no_connection(connections: ConnectionPool) -> None:
    held = [await connections.checkout() for _ in range(POOL_SIZE)]
    waiting = asyncio.create_task(connections.checkout())
    await asyncio.sleep(0)
    await connections.checkin(held.pop(), None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10):
        held.append(await connections.checkout())
    for connection in held:
        await connections.checkin(connection, None)


async def test_closed_connection_is_not_reused(connections: ConnectionPool) -> None:
    first, second = await connections.checkout(), await connections.checkout()
    gone = await server_process(first)
    await connections.checkin(first, None)
    await second.execute("SELECT pg_terminate_backend($1)", gone)
    await connections.checkin(second, None)
    await asyncio.sleep(0.2)
    both = [await connections.checkout() for _ in range(POOL_SIZE)]
    assert gone not in [await server_process(each) for each in both]
    for each in both:
        await connections.checkin(each, None)


async def test_failed_block_returns_a_usable_connection(
    connections: ConnectionPool,
) -> None:
    for _ in range(POOL_SIZE + 1):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with connections.acquire() as connection, connection.transaction():
                await connection.execute("SELECT 1 FROM nothing_of_this_name")
    async with connections.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT 1") == 1


async def test_cancelled_query_leaves_no_result_behind(
    connections: ConnectionPool,
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), connections.acquire() as connection:
            await connection.fetchval("SELECT 'late' FROM pg_sleep(1)")
    for _ in range(POOL_SIZE):
        async with connections.acquire() as connection:
            assert await connection.fetchval("SELECT 'mine'") == "mine"


async def test_statement_that_is_prepared_and_not_executed_leaves_no_transaction(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver: Any = asyncpg.Connection
    prepare, seconds = driver._get_statement, 0.05

    async def prepare_slowly(connection: Any, *arguments: Any, **options: Any) -> Any:
        statement = await prepare(connection, *arguments, **options)
        await asyncio.sleep(seconds)
        return statement

    store = await connect(postgres_server, 1)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(driver, "_get_statement", prepare_slowly)
            with pytest.raises(StatementCancelled):
                async with store.pool.acquire() as connection:
                    try:
                        await connection.fetch("SELECT 17", timeout=seconds)
                    except TimeoutError as error:
                        raise StatementCancelled from error
        async with store.read_session() as session:
            assert [tuple(row) for row in await session.fetch("SELECT 18", ())] == [(18,)]
        with pytest.raises(asyncpg.DataError):
            async with store.read_session(snapshot=False) as single:
                await single.fetch("SELECT $1::int + 1", ["no number"])
        async with store.read_session() as session:
            assert [tuple(row) for row in await session.fetch("SELECT 19", ())] == [(19,)]
    finally:
        await store.close()


async def test_long_idle_connection_is_replaced(connections: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await use_once(connections)
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0)
    assert await use_once(connections) != first


async def test_close_waits_for_connections_in_use(connections: ConnectionPool) -> None:
    connection = await connections.checkout()
    closing = asyncio.create_task(connections.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    assert await connection.fetchval("SELECT 1") == 1
    await connections.checkin(connection, None)
    async with asyncio.timeout(10):
        await closing


async def test_missing_server_raises_connection_error(postgres_server: str) -> None:
    pool = await asyncpg.create_pool(postgres_server, min_size=0, max_size=POOL_SIZE)
    pool_under_test = ConnectionPool(pool, POOL_SIZE)
    pool.set_connect_args(host="127.0.0.1", port=1)
    for _ in range(POOL_SIZE + 1):
        with pytest.raises(ConnectionError):
            async with pool_under_test.acquire():
                pass
    await pool_under_test.close()
