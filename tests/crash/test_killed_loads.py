"""A load that is killed leaves the database as it was before, and the next one works."""

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

from creditdesk.audit.verify import verify
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.progress import Gathered
from creditdesk.storage.engine import open_store
from tests.conftest import apart, migrate
from tests.crash.durable import DurablePostgres
from tests.crash.loading import ASIDE, BACK, ROWS
from tests.crash.serving import SOURCES, environment
from tests.storage.standing import there

USES = 300
MOMENTS = ((ASIDE, 1), (ASIDE, 40), (ROWS, 1), (ROWS, 3), (BACK, 1), (BACK, 40))
"""Killed as it has told this so many times."""
LOAD_SECONDS = 120


@contextmanager
def loading(database: str) -> Iterator[subprocess.Popen[str]]:
    """A process that loads a demo."""
    environs = environment() | {"PYTHONPATH": f"{SOURCES}:{SOURCES.parent}:{SOURCES.parent}/tests"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.loading", database, str(USES)],
        env=environs, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(LOAD_SECONDS)
        assert process.stdout
        process.stdout.close()


def wait_for(process: subprocess.Popen[str], told: str, times: int) -> None:
    assert process.stdout
    for line in process.stdout:
        times -= line.strip() == told
        if times == 0:
            return
    raise AssertionError(f"it ended before {told} was told so many times")


async def standing(database: str) -> tuple[list[tuple[str, int]], list[tuple[object, ...]]]:
    """How many records of each entity there are, and every table, index, reference and trigger."""
    store = await open_store(database)
    try:
        schema = await there(store)
        async with store.reading() as reading:
            return [(e.__name__, await reading.count(e)) for e in CATALOG], schema
    finally:
        await store.close()


async def test_a_load_killed_at_any_moment_leaves_nothing_and_the_next_one_works(database: str):
    before = await standing(database)
    assert sum(count for _, count in before[0]) == 0
    for told, times in MOMENTS:
        with loading(database) as process:
            wait_for(process, told, times)
            process.send_signal(signal.SIGKILL)
            assert process.wait(LOAD_SECONDS) == -signal.SIGKILL
        assert await standing(database) == before, (told, times)
    await works(database, before)


async def works(database: str, before: object) -> None:
    """A load comes to its end and leaves sound books under the schema that was there."""
    with loading(database) as process:
        process.communicate(timeout=LOAD_SECONDS)
        assert process.returncode == 0
    _, schema = await standing(database)
    assert isinstance(before, tuple)
    assert schema == before[1]
    store, report = await open_store(database), Gathered()
    try:
        assert await verify(store, report) > USES
    finally:
        await store.close()
    assert report.problems == []


@pytest.fixture
def postgres() -> Iterator[DurablePostgres]:
    # The database runs as another user where the tests are run by root.
    folder = Path(tempfile.mkdtemp(prefix="creditdesk-killed-"))
    folder.chmod(0o755)
    server = DurablePostgres(folder / "data")
    server.start()
    apart(migrate(server.url))
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_database_killed_during_a_load_comes_back_without_it(postgres: DurablePostgres):
    before = await standing(postgres.url)
    for told, times in ((ROWS, 2), (BACK, 20)):
        with loading(postgres.url) as process:
            wait_for(process, told, times)
            postgres.crash()
            process.communicate(timeout=LOAD_SECONDS)
            assert process.returncode != 0
        postgres.start()
        assert await standing(postgres.url) == before, (told, times)
    await works(postgres.url, before)
