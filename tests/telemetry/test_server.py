"""A real server: `/metrics` on a port of its own, and its log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from creditdesk.scheduler.lease import take_lease
from creditdesk.storage.engine import open_store
from tests.support.databases import NewDatabase
from tests.support.server_process import ServerProcess, free_port

TIMEOUT_SECONDS = 60.0


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database("sqlite") as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    log = tmp_path_factory.mktemp("server") / "server.log"
    port = free_port()
    serving = ServerProcess(database, log, "--jobs", CREDITDESK_METRICS_PORT=str(port))
    serving.metrics_address = f"http://127.0.0.1:{port}/metrics"
    await serving.start()
    yield serving
    serving.kill()


async def samples(server: ServerProcess) -> dict[tuple[str, str], float]:
    """What the page says; it may come up after the first worker."""
    until = time.monotonic() + TIMEOUT_SECONDS
    async with httpx.AsyncClient() as client:
        while True:
            try:
                text = (await client.get(server.metrics_address)).text
            except httpx.ConnectError:
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
            else:
                break
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_requests_of_a_worker_are_on_the_page_of_the_server(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/api/spaces/bookings")).status_code == 401
        assert (await client.get("/metrics")).status_code == 404
    found = await samples(server)
    assert found["creditdesk_http_requests_total", "GET,/api/spaces/bookings,401"] == 1
    assert found["creditdesk_errors_total", "Unauthenticated"] >= 1
    until = time.monotonic() + TIMEOUT_SECONDS
    while ("creditdesk_job_last_success_timestamp_seconds", "checkpoint") not in found:
        assert time.monotonic() < until, found
        await asyncio.sleep(0.1)
        found = await samples(server)
    assert found["creditdesk_database_up", ""] == 1
    assert found["creditdesk_open_holds", ""] == 0
    assert found["creditdesk_job_failed", "verify"] == 0
    assert found["creditdesk_checkpoint_age_seconds", ""] < TIMEOUT_SECONDS
    assert found["creditdesk_schema_version", ""] >= 27


async def test_the_log_is_json_lines(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        answer = await client.get("/api/sys/users/17?secret=1", headers={"Authorization": "Bearer of-a-secret"})
    found = await _logged(server.log, answer.headers["x-request-id"])
    assert (found["route"], found["status"]) == ("/api/sys/users/{id}", 401)
    assert "secret" not in server.log.read_text()


async def _logged(log: Path, request_id: str) -> dict[str, object]:
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                document: dict[str, object] = json.loads(line)
                if document.get("id") == request_id:
                    return document
        await asyncio.sleep(0.05)
    raise AssertionError(log.read_text())


async def test_all_processes_end_with_the_server_and_another_may_run_the_jobs(
    server: ServerProcess, database: str
) -> None:
    assert server.pid is not None
    processes = psutil.Process(server.pid).children(recursive=True)
    psutil.Process(server.pid).terminate()
    server.wait(TIMEOUT_SECONDS)
    _, alive = psutil.wait_procs(processes, TIMEOUT_SECONDS)
    assert alive == []
    store = await open_store(database)
    assert await take_lease(store, "another", datetime.now(UTC))
    await store.close()
