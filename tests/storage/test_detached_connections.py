"""Detached reads on PostgreSQL: connections that stay open, and what happens when the server ends one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from creditdesk.schema.errors import StateConflict
from creditdesk.storage.detached_connections import DetachedConnections
from tests.support.databases import NewDatabase, run_sql


@pytest.fixture(scope="module")
def postgres_database(new_database: NewDatabase) -> Iterator[str]:
    with new_database("postgresql") as url:
        yield url


@pytest_asyncio.fixture
async def connections(postgres_database: str) -> AsyncIterator[DetachedConnections]:
    opened = DetachedConnections(postgres_database)
    yield opened
    await opened.close()


async def _server_pid(connection: asyncpg.Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_next_read_uses_the_connection_of_the_one_before(connections: DetachedConnections) -> None:
    assert await connections.read(_server_pid) == await connections.read(_server_pid)


async def test_each_read_has_a_snapshot_of_its_own(connections: DetachedConnections, postgres_database: str) -> None:
    """A connection that is used again sees what was committed since, and changes nothing."""

    async def read(connection: asyncpg.Connection) -> tuple[int, str]:
        rows = await connection.fetchval("SELECT count(*) FROM currency")
        return rows, await connection.fetchval("SHOW transaction_read_only")

    before = await connections.read(read)
    await run_sql(
        postgres_database, "INSERT INTO currency (id, created_on, updated_on, unique_id) VALUES (1, now(), now(), 'a')"
    )
    assert (before, await connections.read(read)) == ((0, "on"), (1, "on"))


async def test_read_after_the_server_ended_the_connection(
    connections: DetachedConnections, postgres_database: str
) -> None:
    ended = await connections.read(_server_pid)
    await run_sql(postgres_database, f"SELECT pg_terminate_backend({ended}, 10000)")
    assert await connections.read(_server_pid) not in (0, ended)


async def test_connection_of_a_failed_read_is_closed(connections: DetachedConnections) -> None:
    pids = []

    async def fail(connection: asyncpg.Connection) -> None:
        pids.append(await _server_pid(connection))
        raise StateConflict("no")

    with pytest.raises(StateConflict, match="no"):
        await connections.read(fail)
    assert await connections.read(_server_pid) not in pids


@pytest.mark.parametrize("lost", [asyncpg.InternalClientError("another operation is in progress"), TimeoutError()])
async def test_server_that_goes_away_between_two_statements_is_a_lost_connection(
    connections: DetachedConnections, lost: Exception
) -> None:
    async def fail(_: asyncpg.Connection) -> None:
        raise lost

    with pytest.raises(ConnectionError):
        await connections.read(fail)


async def test_closing_ends_the_connections_that_are_idle(postgres_database: str) -> None:
    opened = DetachedConnections(postgres_database)
    pid = await opened.read(_server_pid)
    await opened.close()
    found = [(1,)]
    while found:
        # The server takes a moment to notice.
        found = await run_sql(postgres_database, f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}")
