"""What is exported comes in again as it was, on both engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from creditdesk.audit.verify import verify
from creditdesk.demo.load import NotEmpty, tell
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.transfer.export import Format, export_records
from creditdesk.transfer.importer import Import

NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.usefixtures("import_into_empty")
@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_export_import_export_gives_the_same_bytes(
    new_store: NewStore, tmp_path: Path, form: Format
) -> None:
    source, target = await new_store(), await new_store()
    await tell(source, 120, 3, Gathered())
    await export_records(source, tmp_path / "first", Gathered(), form)
    report = Gathered()
    tallies = await Import(target, report, NOW).run(tmp_path / "first")
    await export_records(target, tmp_path / "second", Gathered(), form)
    assert (report.problems, report.notes) == ([], [])
    assert tallies["CoworkerBookingCreditUseHistory"].added > 60
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")
    checked = Gathered()
    assert await verify(target, checked) > 120
    assert checked.problems == []


@pytest.mark.usefixtures("import_into_empty")
async def test_importing_the_same_files_again_changes_nothing(
    new_store: NewStore, tmp_path: Path
) -> None:
    source, target = await new_store(), await new_store()
    await tell(source, 60, 4, Gathered())
    await export_records(source, tmp_path / "first", Gathered())
    await Import(target, Gathered(), NOW).run(tmp_path / "first")
    lines = await verify(target, Gathered())
    tallies = await Import(target, Gathered(), NOW).run(tmp_path / "first")
    assert {(tally.added, tally.changed) for tally in tallies.values()} == {(0, 0)}
    assert await verify(target, Gathered()) == lines
    await export_records(target, tmp_path / "second", Gathered())
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")


async def test_the_same_seed_gives_the_same_bytes_on_both_engines(
    new_store: NewStore, sqlite_store: Store, tmp_path: Path
) -> None:
    store = await new_store()
    await tell(store, 40, 9, Gathered())
    await tell(sqlite_store, 40, 9, Gathered())
    await export_records(store, tmp_path / "one", Gathered())
    await export_records(sqlite_store, tmp_path / "two", Gathered())
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    with pytest.raises(NotEmpty):
        await tell(store, 40, 9, Gathered())
