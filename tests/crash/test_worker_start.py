"""A worker or companion that is killed is replaced, also while the database is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.crash.test_worker_signals import workers
from tests.support.database_host import DatabaseHost
from tests.support.databases import NewDatabase, run_sql
from tests.support.server_process import ServerProcess

WAIT_SECONDS = 60.0
"""Far more than any step takes, on a busy machine too."""

LOOP_SECONDS = 5.5
"""A worker that ends within so long of its start makes the server end."""


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database("postgresql") as url:
        yield url


async def wait_for(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():
            await asyncio.sleep(0.05)


async def status(server: ServerProcess, path: str) -> int:
    """The status of a GET on a connection of its own; 0 where nobody answers."""
    async with httpx.AsyncClient(base_url=server.address) as client:
        with suppress(httpx.TransportError):
            return (await client.get(path)).status_code
    return 0


async def test_workers_that_start_while_the_database_is_silent_answer_503_and_recover(
    host: DatabaseHost, tmp_path: Path
) -> None:
    server = ServerProcess(host.url, tmp_path / "server.log")
    await server.start()
    try:
        host.silent = True
        before = {each.pid for each in workers(server)}
        for pid in before:
            psutil.Process(pid).kill()

        async def is_replaced() -> bool:
            return await status(server, "/health") == 200 and not before & {each.pid for each in workers(server)}

        await wait_for(is_replaced)
        # Longer than a replaced worker may live without being taken for one that cannot start.
        replaced, until = {each.pid for each in workers(server)}, time.monotonic() + LOOP_SECONDS
        while time.monotonic() < until:
            async with httpx.AsyncClient(base_url=server.address) as client:
                answer = await client.get("/api/spaces/coworkers")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert not answer.json()["WasSuccessful"]
            await asyncio.sleep(0.5)
        assert {each.pid for each in workers(server)} == replaced
        host.silent = False

        async def is_ready() -> bool:
            return await status(server, "/ready") == 200

        await wait_for(is_ready)
    finally:
        server.kill()


async def test_a_killed_leader_of_the_jobs_is_replaced_and_leads_again(database: str, tmp_path: Path) -> None:
    server = ServerProcess(database, tmp_path / "server.log", "--jobs")
    await server.start()
    try:

        async def lease() -> list[tuple[object, ...]]:
            return list(await run_sql(database, "SELECT holder, until FROM leader_lease"))

        async def leads() -> bool:
            return await lease() != []

        await wait_for(leads)
        # Workers are copies of the server; a companion is started anew.
        children = psutil.Process(server.pid).children()
        [scheduler] = [each for each in children if "spawn_main" in " ".join(each.cmdline())]
        scheduler.kill()

        async def has_ended() -> bool:
            return not scheduler.is_running()

        await wait_for(has_ended)
        [(holder, until)] = await lease()

        async def leads_again() -> bool:
            return await lease() != [(holder, until)]

        await wait_for(leads_again)
        [(successor, _)] = await lease()
        # In the name of the same server, so it need not wait until the lease ends.
        assert successor == holder
    finally:
        server.kill()
