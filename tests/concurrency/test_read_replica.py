"""Reads on a replica that lags behind see what the caller wrote, and outlive the replica."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from benchmarks.failover_cluster import DATABASE, Cluster
from starlette.types import ASGIApp

from creditdesk.api.replica_reads import POSITION_HEADER
from creditdesk.app import build_app
from creditdesk.schema.repository import Store
from creditdesk.settings import Settings
from creditdesk.storage.replica import ReadReplica, open_replica
from tests.support.api_client import CREDITS, AdjustableClock, ApiClient, created_id, succeeded
from tests.support.databases import migrate_database, run_sql

DELAY = "500ms"
"""By which the replica replays later: longer than a read waits for it."""

PAIRS = 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # The servers run as another user where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-replica-"))
    servers = Cluster(folder)
    servers.start()
    yield servers
    servers.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database(cluster: Cluster) -> str:
    """Replaces the session's databases, which have no replica."""
    url = f"postgresql://postgres@127.0.0.1:{cluster.primary.port}/{DATABASE}"
    migrate_database(url)
    return url


@pytest_asyncio.fixture(scope="module")
async def replica(cluster: Cluster, store: Store) -> AsyncIterator[ReadReplica]:
    url = f"postgresql://postgres@127.0.0.1:{cluster.standby.port}/{DATABASE}"
    opened = await open_replica(store, url, connections=4, statement_seconds=10)
    yield opened
    await opened.close()


class CountedReplica:
    """The replica, and how many reads it served."""

    def __init__(self, replica: ReadReplica) -> None:
        self._replica = replica
        self.reads = 0

    @property
    def store(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._replica, name)

    def read_session(self, *, snapshot: bool = True) -> Any:
        self.reads += 1
        return self._replica.store.read_session(snapshot=snapshot)

    async def read_detached(self, work: Any) -> Any:
        self.reads += 1
        return await self._replica.store.read_detached(work)


@pytest.fixture(scope="module")
def counted(replica: ReadReplica) -> CountedReplica:
    return CountedReplica(replica)


@pytest.fixture(scope="module")
def app(store: Store, clock: AdjustableClock, counted: CountedReplica) -> ASGIApp:
    return build_app(store, Settings(reports_on_replica=True), clock, counted)


@asynccontextmanager
async def lagging(cluster: Cluster) -> AsyncIterator[None]:
    """The replica replays commits by DELAY later while the block runs."""
    url = f"postgresql://postgres@127.0.0.1:{cluster.standby.port}/postgres"
    await run_sql(url, f"ALTER SYSTEM SET recovery_min_apply_delay = '{DELAY}'", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await run_sql(url, "ALTER SYSTEM RESET recovery_min_apply_delay", "SELECT pg_reload_conf()")


async def write_and_read(api: ApiClient, number: int) -> tuple[str, httpx.Response]:
    """Creates a credit and reads it at the position of the answer, which is returned with the response."""
    created = await api.post(CREDITS, api.credit_body("10.00", Name=f"Credit {number}"))
    succeeded(created)
    position = created.headers[POSITION_HEADER]
    found = await api.http.get(f"{CREDITS}/{created_id(created)}", headers={POSITION_HEADER: position})
    return position, found


async def test_read_at_a_position_is_never_stale(api: ApiClient, cluster: Cluster, counted: CountedReplica) -> None:
    before = counted.reads
    async with lagging(cluster):
        for number in range(PAIRS):
            _, found = await write_and_read(api, number)
            assert found.status_code == 200, number
    assert counted.reads < before + PAIRS, "the replica did not lag behind"


async def test_replica_serves_what_it_has_replayed(
    api: ApiClient, replica: ReadReplica, counted: CountedReplica
) -> None:
    position, _ = await write_and_read(api, 0)
    for _ in range(100):
        if await replica.has_reached(position, POSITION_HEADER):
            break
    before = counted.reads
    page = await api.http.get(CREDITS, headers={POSITION_HEADER: position})
    assert page.status_code == 200
    assert counted.reads == before + 1


async def test_read_without_a_position_is_answered_by_the_primary(api: ApiClient, counted: CountedReplica) -> None:
    before = counted.reads
    assert (await api.http.get(CREDITS)).status_code == 200
    assert counted.reads == before


async def test_report_is_computed_on_the_replica(api: ApiClient, counted: CountedReplica) -> None:
    before = counted.reads
    report = await api.http.get("/api/reports/liability")
    assert report.status_code == 200
    assert counted.reads == before + 1


@pytest.mark.parametrize("position", ["", "1", "0/16B3748", "1-0/16B37480000", "x-0/1", "1-0/1; SELECT 1"])
async def test_text_that_is_no_position_is_refused(api: ApiClient, position: str) -> None:
    answer = await api.http.get(CREDITS, headers={POSITION_HEADER: position})
    assert answer.status_code == 400
    assert POSITION_HEADER in answer.text


async def test_position_of_another_timeline_is_answered_by_the_primary(api: ApiClient, counted: CountedReplica) -> None:
    before = counted.reads
    assert (await api.http.get(CREDITS, headers={POSITION_HEADER: "7-0/1"})).status_code == 200
    assert counted.reads == before


async def test_reads_outlive_the_replica(api: ApiClient, cluster: Cluster) -> None:
    # The last test of the module: the replica does not come back.
    cluster.primary.configure("synchronous_standby_names = ''")
    cluster.primary.reload()
    cluster.standby.kill()
    for number in range(3):
        _, found = await write_and_read(api, number)
        assert found.status_code == 200
    assert (await api.http.get("/api/reports/liability")).status_code == 200


async def test_only_one_host_of_postgresql_can_be_the_replica(store: Store) -> None:
    for url in ("sqlite:///copy.db", "postgresql://one,two/creditdesk"):
        with pytest.raises(ValueError, match="replica"):
            await open_replica(store, url, connections=1, statement_seconds=None)
