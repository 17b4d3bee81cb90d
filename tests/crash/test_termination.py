"""SIGTERM ends the server in time, also while the database answers nothing and while a worker starts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.crash.test_worker_signals import STOP_SECONDS, workers
from tests.support.database_host import DatabaseHost
from tests.support.databases import NewDatabase
from tests.support.server_process import ServerProcess


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    """A PostgreSQL database alone: SQLite has no host."""
    with new_database("postgresql") as url:
        yield url


@pytest_asyncio.fixture
async def server(host: DatabaseHost, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    serving = ServerProcess(host.url, tmp_path / "server.log")
    await serving.start()
    yield serving
    serving.kill()


async def terminate(server: ServerProcess) -> None:
    assert server.pid is not None
    psutil.Process(server.pid).send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.wait, STOP_SECONDS)


async def test_the_server_ends_while_requests_wait_for_a_silent_database(
    server: ServerProcess, host: DatabaseHost
) -> None:
    host.silent = True
    async with httpx.AsyncClient(base_url=server.address, timeout=STOP_SECONDS) as client:
        form = {"grant_type": "password", "username": "ada@example.org", "password": "unknown"}
        waiting = [asyncio.create_task(client.post("/api/token", data=form)) for _ in range(3)]
        assert (await client.get("/ready")).status_code == 503
        await terminate(server)
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_server_ends_while_a_worker_starts(server: ServerProcess, host: DatabaseHost) -> None:
    host.silent = True
    before = workers(server)
    for worker in before:
        worker.kill()
    # The new one waits for the database.
    async with asyncio.timeout(STOP_SECONDS):
        while not {each.pid for each in workers(server)} - {each.pid for each in before}:
            await asyncio.sleep(0.02)
    await terminate(server)
