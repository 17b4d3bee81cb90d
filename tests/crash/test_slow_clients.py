"""Clients that send slowly or nothing: the server closes them, and answers the others meanwhile."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from creditdesk.entities.spaces.resource_type import ResourceType
from tests.support.databases import NewDatabase
from tests.support.server_process import ServerProcess, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
IDLE_SECONDS = 1
BODY_SECONDS = 1
CLIENT_CONNECTIONS = 40
IDLE_SOCKETS = 5000
HEAD = b"POST " + ResourceType.path().encode() + b" HTTP/1.1\r\nHost: creditdesk.test\r\n"


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    """A SQLite database: nothing here reaches an engine."""
    with new_database("sqlite") as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    serving = ServerProcess(
        database,
        tmp_path_factory.mktemp("server") / "server.log",
        CREDITDESK_IDLE_SECONDS=str(IDLE_SECONDS),
        CREDITDESK_API_BODY_SECONDS=str(BODY_SECONDS),
        CREDITDESK_CLIENT_CONNECTIONS=str(CLIENT_CONNECTIONS),
        CREDITDESK_AUTH_PROXY_HOPS="1",
    )
    await serving.start()
    yield serving
    serving.kill()


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["nothing", "half a head"])
async def test_idle_connections_are_closed_and_others_answered_after_them(server: ServerProcess, sent: bytes) -> None:
    with ExitStack() as stack:
        idle = [connect(stack, server.port, sent) for _ in range(2 * CLIENT_CONNECTIONS)]
        async with httpx.AsyncClient(base_url=server.address, timeout=10 * IDLE_SECONDS) as client:
            assert (await client.get("/health")).status_code == 200
        for connection in idle:
            assert await asyncio.to_thread(connection.recv, 1000) == b""


async def test_kept_connection_is_closed_when_idle(server: ServerProcess) -> None:
    with ExitStack() as stack:
        kept = connect(stack, server.port, b"GET /health HTTP/1.1\r\nHost: creditdesk.test\r\n\r\n")
        assert (await asyncio.to_thread(kept.recv, 1000)).startswith(b"HTTP/1.1 200")
        assert await asyncio.to_thread(kept.recv, 1000) == b""


@pytest.mark.parametrize("path", [ResourceType.path(), "/api/token"])
async def test_slow_body_is_408_and_its_connection_closed(server: ServerProcess, admin_token: str, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: creditdesk.test\r\nAuthorization: Bearer {admin_token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    with ExitStack() as stack:
        connection = connect(stack, server.port, head.encode())
        answer = await asyncio.to_thread(trickle, connection)
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert b"did not arrive within 1 seconds" in answer


def connect(stack: ExitStack, port: int, sent: bytes) -> socket.socket:
    """A connection that has sent these bytes and nothing more."""
    connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=15)))
    if sent:
        connection.sendall(sent)
    return connection


def trickle(connection: socket.socket) -> bytes:
    """Sends a byte of a body now and then until there is an answer; returns all until the connection closes."""
    connection.settimeout(0.1)
    received = b""
    until = time.monotonic() + 10 * BODY_SECONDS
    while time.monotonic() < until:
        try:
            if not received:
                connection.sendall(b" ")
            more = connection.recv(10_000)
        except TimeoutError:
            continue
        except ConnectionError:
            return received
        if not more:
            return received
        received += more
    raise AssertionError(f"the connection stays open after {received!r}")


@contextmanager
def nginx(upstream_port: int, folder: Path) -> Iterator[tuple[str, int]]:
    """The shipped configuration over other ports, with a certificate of its own."""
    port = free_port()
    subprocess.run(
        ["/usr/bin/env", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=credit.example.com",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    text = replaced(
        DEPLOY / "nginx" / "nginx.conf",
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/credit.example.com.pem", str(folder / "cert.pem")),
        ("/etc/ssl/credit.example.com.key", str(folder / "key.pem")),
        ("127.0.0.1:8400", f"127.0.0.1:{upstream_port}"),
        ("pid /run/nginx.pid", f"pid {folder / 'nginx.pid'}"),
    )
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with running(command, folder):
        yield f"https://127.0.0.1:{port}", port


@contextmanager
def caddy(upstream_port: int, folder: Path) -> Iterator[tuple[str, int]]:
    """The shipped configuration over other ports, without a certificate."""
    port = free_port()
    text = replaced(
        DEPLOY / "caddy" / "Caddyfile",
        ("{\n\tservers {", "{\n\tadmin off\n\tservers {"),
        ("credit.example.com {", f"http://127.0.0.1:{port} {{"),
        ("127.0.0.1:8400", f"127.0.0.1:{upstream_port}"),
    )
    (folder / "Caddyfile").write_text(text)
    with running(["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], folder):
        yield f"http://127.0.0.1:{port}", port


def replaced(file: Path, *pairs: tuple[str, str]) -> str:
    text = file.read_text()
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    """Runs a proxy; it keeps its files under the folder."""
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_server_behind_a_shipped_proxy_survives_idle_sockets(
    server: ServerProcess,
    admin_token: str,
    tmp_path: Path,
    proxy: Callable[..., AbstractContextManager[tuple[str, int]]],
) -> None:
    name = getattr(proxy, "__name__", "")
    if shutil.which(name, path="/usr/sbin:/usr/bin:/bin") is None:
        pytest.skip(f"the program {name} is not installed")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    headers = (
        {"Authorization": f"Bearer {admin_token}", "Host": "credit.example.com"}
        if name == "nginx"
        else {"Authorization": f"Bearer {admin_token}"}
    )
    try:
        with proxy(server.port, tmp_path) as (address, port), ExitStack() as stack:
            async with httpx.AsyncClient(base_url=address, verify=unverified, headers=headers, timeout=10) as client:
                await wait_for(client, tmp_path / "proxy.log")
                idle = [connect(stack, port, HEAD if n % 2 else b"") for n in range(IDLE_SOCKETS)]
                for path in ("/health", f"{ResourceType.path()}?size=1", "/ready") * 5:
                    answer = await client.get(path)
                    assert answer.status_code == 200, answer.text
                answer = await client.post(ResourceType.path(), json={})
                assert answer.status_code == 400
                assert len(idle) == IDLE_SOCKETS
            # The server itself has room: none of the idle connections reached it.
            async with httpx.AsyncClient(base_url=server.address, timeout=5) as direct:
                assert (await direct.get("/health")).status_code == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def wait_for(client: httpx.AsyncClient, log: Path) -> None:
    """Returns once the proxy forwards requests."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if (await client.get("/health")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError(log.read_text())
