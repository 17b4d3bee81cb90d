"""Bytes that are no proper request: the server answers or closes, and serves on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.databases import NewDatabase
from tests.support.server_process import ServerProcess

TIMEOUT_SECONDS = 10.0
ODD_REQUESTS = {
    "bare line feeds": b"GET /health HTTP/1.1\nHost: x\nConnection: close\n\n",
    "no host": b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    "long header": b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + b"a" * 300_000 + b"\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(300))
    + b"\r\n",
    "no request": bytes(range(256)) + b"\r\n\r\n",
}


@pytest_asyncio.fixture(scope="module")
async def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    log: Path = tmp_path_factory.mktemp("server") / "log"
    with new_database("sqlite") as url:
        process = ServerProcess(url, log)
        await process.start()
        yield process
        process.kill()


async def status_of(server: ServerProcess, request: bytes) -> int | None:
    """The status of the response; None when the server closes the connection without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), TIMEOUT_SECONDS)
    except ConnectionError:
        return None
    finally:
        writer.close()
    return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else None


@pytest.mark.parametrize("name", ODD_REQUESTS)
async def test_odd_bytes_are_answered_or_refused(server: ServerProcess, name: str) -> None:
    assert await status_of(server, ODD_REQUESTS[name]) in (None, 200, 400, 431)
    async with httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/health")).status_code == 200
