"""An import into a database without records comes as a load, and says what any import says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from creditdesk.audit.verify import verify
from creditdesk.demo.load import tell
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import Gathered, Silent
from creditdesk.schema.repository import Store, Unit
from creditdesk.transfer import file_discovery, importer
from creditdesk.transfer.export import export_records
from creditdesk.transfer.importer import Import

NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TWICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
TROUBLED: list[dict[str, Any]] = [
    {"Id": 5, "FullName": "Ada", "UniqueId": TWICE, "Shoe": 41},
    {"Id": 6, "FullName": "Bo", "TariffId": 99},
    {"Id": 7, "FullName": "Eve", "UniqueId": TWICE},
    {"Id": 8, "FullName": "Cem", "RegistrationDate": "some day"},
]


class Watched:
    """A store that tells which of its loads ended well."""

    def __init__(self, store: Store) -> None:
        self.store, self.loads = store, 0
        self.reading, self.writing = store.reading, store.writing

    @asynccontextmanager
    async def loading(self, entities: Sequence[type[Entity]]) -> AsyncIterator[Unit]:
        async with self.store.loading(entities) as unit:
            yield unit
        self.loads += 1


async def bring(store: Store, files: Path) -> tuple[int, Gathered]:
    """How many loads an import came as, and what it said."""
    report, watched = Gathered(), Watched(store)
    await Import(watched, report, NOW).run(files)  # type: ignore[arg-type]
    return watched.loads, report


@pytest.fixture
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_discovery, "BYTES_WORTH_A_LOAD", 0)


@pytest.fixture
def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "BATCH", 1)


def lay(files: Path, people: list[dict[str, Any]]) -> Path:
    files.mkdir()
    (files / "coworkers.json").write_text(json.dumps(people))
    return files


@pytest.mark.usefixtures("_worth_it")
async def test_records_and_journal_each_come_as_a_load_once(
    new_store: NewStore, tmp_path: Path
) -> None:
    source, target = await new_store(), await new_store()
    await tell(source, 60, 4, Silent())
    await export_records(source, tmp_path / "files", Silent())
    assert (await bring(target, tmp_path / "files"))[0] == 2
    assert (await bring(target, tmp_path / "files"))[0] == 0
    report = Gathered()
    assert await verify(target, report) == await verify(source, report)
    assert report.problems == []


async def test_few_records_come_batch_by_batch(new_store: NewStore, tmp_path: Path) -> None:
    files = lay(tmp_path / "files", [{"Id": 5, "FullName": "Ada"}])
    assert (await bring(await new_store(), files))[0] == 0


@pytest.mark.usefixtures("_worth_it", "_one_by_one")
async def test_what_a_load_cannot_take_is_told_as_ever_and_once(
    new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = lay(tmp_path / "files", TROUBLED)
    store = await new_store()
    loads, told = await bring(store, files)
    with monkeypatch.context() as patch:
        patch.setattr(file_discovery, "BYTES_WORTH_A_LOAD", 1 << 40)
        _, usual = await bring(await new_store(), files)
    assert (loads, len(told.problems)) == (0, 3)
    assert sorted(told.problems) == sorted(usual.problems)
    note = "A UniqueId stands twice, so all are brought in anew, batch by batch"
    assert told.notes == [*usual.notes, note]
    async with store.reading() as reading:
        assert [person["Id"] for person in await reading.find(Coworker)] == [5, 6, 8]


@pytest.mark.usefixtures("_worth_it", "_one_by_one")
async def test_a_record_without_an_id_makes_the_import_come_batch_by_batch(
    new_store: NewStore, tmp_path: Path
) -> None:
    files = lay(tmp_path / "files", [{"Id": 5, "FullName": "Ada"}, {"FullName": "No Id"}])
    store = await new_store()
    loads, told = await bring(store, files)
    assert (loads, told.problems) == (0, [])
    assert told.notes == ["A record has no Id, so all are brought in anew, batch by batch"]
    async with store.reading() as reading:
        assert await reading.count(Coworker) == 2
