"""An import into an empty database is a bulk load with the same report as any import."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.demo.load import load_demo
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import NullReporter
from creditdesk.schema.repository import Store, WriteSession
from creditdesk.transfer import file_discovery, importer
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Importer
from tests.support.progress import CollectingReporter

NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHARED_UNIQUE_ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
PROBLEM_ROWS: list[dict[str, Any]] = [
    {"Id": 5, "FullName": "Ada", "UniqueId": SHARED_UNIQUE_ID, "Shoe": 41},
    {"Id": 6, "FullName": "Bo", "TariffId": 99},
    {"Id": 7, "FullName": "Eve", "UniqueId": SHARED_UNIQUE_ID},
    {"Id": 8, "FullName": "Cem", "RegistrationDate": "some day"},
]


class LoadCountingStore:
    """A store that counts its completed bulk loads."""

    def __init__(self, store: Store) -> None:
        self.store, self.loads = store, 0
        self.read_session, self.write_session = store.read_session, store.write_session

    @asynccontextmanager
    async def bulk_load(self, entities: Sequence[type[Entity]]) -> AsyncIterator[WriteSession]:
        async with self.store.bulk_load(entities) as session:
            yield session
        self.loads += 1


async def import_counting_loads(store: Store, files: Path) -> tuple[int, CollectingReporter]:
    """Imports; returns the number of bulk loads and the report."""
    report, watched = CollectingReporter(), LoadCountingStore(store)
    await Importer(watched, report, NOW).run(files)  # type: ignore[arg-type]
    return watched.loads, report


@pytest.fixture
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_discovery, "BULK_LOAD_MIN_BYTES", 0)


@pytest.fixture
def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "IMPORT_BATCH_SIZE", 1)


def write_coworkers(files: Path, coworkers: list[dict[str, Any]]) -> Path:
    files.mkdir()
    (files / "coworkers.json").write_text(json.dumps(coworkers))
    return files


@pytest.mark.usefixtures("_worth_it")
async def test_records_and_journal_are_bulk_loaded_once(new_store: NewStore, tmp_path: Path) -> None:
    source, target = await new_store(), await new_store()
    await load_demo(source, 60, 4, NullReporter())
    await export_records(source, tmp_path / "files", NullReporter())
    assert (await import_counting_loads(target, tmp_path / "files"))[0] == 2
    assert (await import_counting_loads(target, tmp_path / "files"))[0] == 0
    report = CollectingReporter()
    assert await verify_ledger(target, report) == await verify_ledger(source, report)
    assert report.problems == []


async def test_small_import_uses_batches(new_store: NewStore, tmp_path: Path) -> None:
    files = write_coworkers(tmp_path / "files", [{"Id": 5, "FullName": "Ada"}])
    assert (await import_counting_loads(await new_store(), files))[0] == 0


@pytest.mark.usefixtures("_worth_it", "_one_by_one")
async def test_failed_bulk_load_falls_back_with_same_report(
    new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_coworkers(tmp_path / "files", PROBLEM_ROWS)
    store = await new_store()
    loads, report = await import_counting_loads(store, files)
    with monkeypatch.context() as patch:
        patch.setattr(file_discovery, "BULK_LOAD_MIN_BYTES", 1 << 40)
        _, usual = await import_counting_loads(await new_store(), files)
    assert (loads, len(report.problems)) == (0, 3)
    assert sorted(report.problems) == sorted(usual.problems)
    note = "Two records have one UniqueId, so the files are imported in batches"
    assert report.notes == [*usual.notes, note]
    async with store.read_session() as session:
        assert [person["Id"] for person in await session.find(Coworker)] == [5, 6, 8]


@pytest.mark.usefixtures("_worth_it", "_one_by_one")
async def test_record_without_id_falls_back_to_batches(new_store: NewStore, tmp_path: Path) -> None:
    files = write_coworkers(tmp_path / "files", [{"Id": 5, "FullName": "Ada"}, {"FullName": "No Id"}])
    store = await new_store()
    loads, report = await import_counting_loads(store, files)
    assert (loads, report.problems) == (0, [])
    assert report.notes == ["A record has no Id, so the files are imported in batches"]
    async with store.read_session() as session:
        assert await session.count(Coworker) == 2
