"""A killed load leaves the database unchanged, and the next load works."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.catalog import CATALOG
from creditdesk.storage.engine import open_store
from tests.crash.demo_load import RESTORING, ROWS, SUSPENDED
from tests.storage.snapshots import schema_objects
from tests.support.databases import migrate_database
from tests.support.durable_postgres import DurablePostgres
from tests.support.progress import CollectingReporter
from tests.support.server_process import SOURCE_FOLDER, process_environment

USES = 300
KILL_POINTS = (
    (SUSPENDED, 1),
    (SUSPENDED, 40),
    (ROWS, 1),
    (ROWS, 3),
    (RESTORING, 1),
    (RESTORING, 40),
)
"""The event, and the number of times it was printed, after which the load is killed."""
LOAD_SECONDS = 120


@contextmanager
def load_process(database: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a process that loads a demo."""
    environs = process_environment() | {"PYTHONPATH": f"{SOURCE_FOLDER}:{SOURCE_FOLDER.parent}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.demo_load", database, str(USES)],
        env=environs, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(LOAD_SECONDS)
        assert process.stdout
        process.stdout.close()


def wait_for_event(process: subprocess.Popen[str], event: str, times: int) -> None:
    assert process.stdout
    for line in process.stdout:
        times -= line.strip() == event
        if times == 0:
            return
    raise AssertionError(f"it ended before {event} was printed so often")


async def database_snapshot(
    database: str,
) -> tuple[list[tuple[str, int]], list[tuple[object, ...]]]:
    """The number of records of each entity, and every schema object."""
    store = await open_store(database)
    try:
        schema = await schema_objects(store)
        async with store.read_session() as reading:
            return [(e.__name__, await reading.count(e)) for e in CATALOG], schema
    finally:
        await store.close()


async def test_killed_load_leaves_nothing_and_next_load_works(database: str) -> None:
    before = await database_snapshot(database)
    assert sum(count for _, count in before[0]) == 0
    for event, times in KILL_POINTS:
        with load_process(database) as process:
            wait_for_event(process, event, times)
            process.send_signal(signal.SIGKILL)
            assert process.wait(LOAD_SECONDS) == -signal.SIGKILL
        assert await database_snapshot(database) == before, (event, times)
    await assert_load_succeeds(database, before)


async def assert_load_succeeds(database: str, before: object) -> None:
    """A load completes, keeps the schema, and the ledger verifies."""
    with load_process(database) as process:
        process.communicate(timeout=LOAD_SECONDS)
        assert process.returncode == 0
    _, schema = await database_snapshot(database)
    assert isinstance(before, tuple)
    assert schema == before[1]
    store, report = await open_store(database), CollectingReporter()
    try:
        assert await verify_ledger(store, report) > USES
    finally:
        await store.close()
    assert report.problems == []


@pytest.fixture
def postgres() -> Iterator[DurablePostgres]:
    # The server runs as another user where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-killed-"))
    folder.chmod(0o755)
    server = DurablePostgres(folder / "data")
    server.start()
    migrate_database(server.url)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


async def test_database_killed_during_load_recovers_without_it(postgres: DurablePostgres) -> None:
    before = await database_snapshot(postgres.url)
    for event, times in ((ROWS, 2), (RESTORING, 20)):
        with load_process(postgres.url) as process:
            wait_for_event(process, event, times)
            postgres.crash()
            process.communicate(timeout=LOAD_SECONDS)
            assert process.returncode != 0
        postgres.start()
        assert await database_snapshot(postgres.url) == before, (event, times)
    await assert_load_succeeds(postgres.url, before)
