"""Bodies that break off or break their encoding are refused by the real server, never a 5xx."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from creditdesk.entities.spaces.resource_type import ResourceType
from tests.support.server_process import ServerProcess

HEAD = (
    "POST {path} HTTP/1.1\r\nHost: creditdesk.test\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\n{headers}\r\n\r\n"
)
CHUNKED = "Transfer-Encoding: chunked"


@pytest_asyncio.fixture(scope="module")
async def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    log: Path = tmp_path_factory.mktemp("server") / "server.log"
    serving = ServerProcess(database, log)
    await serving.start()
    yield serving
    serving.kill()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"-1\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"2\r\n{}XX0\r\n\r\n"),
        (CHUNKED, b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"2\r\n{}\r\n"),
        ("Content-Length: 90", b"{}"),
        ("Content-Length: -1", b"{}"),
        ("Content-Length: two", b"{}"),
    ],
)
@pytest.mark.parametrize("path", [ResourceType.path(), "/api/token"])
async def test_broken_body_is_no_server_error(
    server: ServerProcess, admin_token: str, path: str, headers: str, body: bytes
) -> None:
    head = HEAD.format(path=path, token=admin_token, headers=headers).encode()
    answer = await asyncio.to_thread(exchange, server.port, head + body)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer


def exchange(port: int, sent: bytes) -> bytes:
    """Sends bytes, ends the sending side, and returns what comes back."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    return received
