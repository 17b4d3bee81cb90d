"""Workers that are killed are replaced; signals end or roll them without a broken answer."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from creditdesk.cli.serve import RELOAD_SECONDS
from creditdesk.cli.worker import REQUESTS_PER_CONNECTION
from tests.support.databases import NewDatabase
from tests.support.server_process import ServerProcess

REPLACE_SECONDS = 2.0
START_SECONDS = 10.0
"""What the start of a Python process may take on a busy machine."""
STOP_SECONDS = 15.0


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database("sqlite") as url:
        yield url


@pytest_asyncio.fixture
async def server(database: str, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    serving = ServerProcess(database, tmp_path / "server.log")
    await serving.start()
    yield serving
    serving.kill()


def workers(server: ServerProcess) -> list[psutil.Process]:
    """The processes that accept requests."""
    assert server.pid is not None
    found: list[psutil.Process] = []
    for process in psutil.Process(server.pid).children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
    return found


async def test_killed_worker_is_replaced(server: ServerProcess) -> None:
    before = {each.pid for each in workers(server)}
    async with httpx.AsyncClient(base_url=server.address) as client:
        request_id = (await client.get("/health")).headers["X-Request-Id"]
    killed_at = time.monotonic()
    for pid in before:
        psutil.Process(pid).kill()
    while not {each.pid for each in workers(server)} - before:
        assert time.monotonic() - killed_at < REPLACE_SECONDS
        await asyncio.sleep(0.02)
    async with httpx.AsyncClient(base_url=server.address) as client:
        while True:
            try:
                answer = await client.get("/health")
            except httpx.TransportError:
                assert time.monotonic() - killed_at < REPLACE_SECONDS + START_SECONDS
                await asyncio.sleep(0.05)
            else:
                break
    assert answer.status_code == 200
    # Each worker begins as a copy of the same process, and names its requests by itself.
    assert answer.headers["X-Request-Id"].partition("-")[0] != request_id.partition("-")[0]


async def test_a_busy_connection_ends_in_good_order_so_that_it_may_move_to_another_worker(
    server: ServerProcess,
) -> None:
    def answers_of_one_connection() -> list[str]:
        """What each answer says of its connection, until one closes it."""
        connection, stated = HTTPConnection("127.0.0.1", server.port, timeout=STOP_SECONDS), [""]
        try:
            while stated[-1] != "close":
                connection.request("GET", "/health")
                answer = connection.getresponse()
                assert (answer.status, answer.read() != b"") == (200, True)
                stated.append(answer.getheader("Connection", ""))
                assert len(stated) <= REQUESTS_PER_CONNECTION + 1
        finally:
            connection.close()
        return stated[1:]

    # The start of the server asked for its health once or more.
    first, second = [await asyncio.to_thread(answers_of_one_connection) for _ in range(2)]
    assert len(first) < len(second) == REQUESTS_PER_CONNECTION
    assert set(first[:-1]) == {""}


async def test_termination_ends_the_server_in_time(server: ServerProcess) -> None:
    assert server.pid is not None
    process = psutil.Process(server.pid)
    async with httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait, STOP_SECONDS)


async def test_reload_replaces_the_workers_without_a_broken_answer(server: ServerProcess) -> None:
    before = {each.pid for each in workers(server)}
    statuses: set[int] = set()
    over = asyncio.Event()

    async def keep_calling() -> int:
        """The calls that were closed before a byte of the answer; each was answered when it was repeated."""
        unanswered = 0
        while not over.is_set():
            # A connection of its own for each call, as a proxy opens them while a worker goes.
            async with httpx.AsyncClient(base_url=server.address) as client:
                try:
                    answer = await client.get("/ready")
                except (httpx.RemoteProtocolError, httpx.ReadError) as error:
                    if isinstance(error, httpx.RemoteProtocolError) and "without sending" not in str(error):
                        raise
                    # The old worker had not read the request. Clients repeat it (RFC 9112, 9.3.1).
                    unanswered += 1
                    answer = await client.get("/ready")
                statuses.add(answer.status_code)
        return unanswered

    calling = [asyncio.create_task(keep_calling()) for _ in range(4)]
    psutil.Process(server.pid).send_signal(signal.SIGHUP)
    started = time.monotonic()
    while before & {each.pid for each in workers(server)}:
        assert time.monotonic() - started < RELOAD_SECONDS + START_SECONDS + STOP_SECONDS
        await asyncio.sleep(0.05)
    over.set()
    unanswered = await asyncio.gather(*calling)
    assert statuses == {200}
    # One worker went once: no caller loses more than the connection that it had open then.
    assert max(unanswered) <= 1
    assert workers(server)
