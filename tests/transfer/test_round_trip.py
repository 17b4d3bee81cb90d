"""Exports import again without a difference, on both engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.demo.load import DatabaseNotEmpty, load_demo
from creditdesk.schema.repository import Store
from creditdesk.transfer.export import ExportFormat, export_records
from creditdesk.transfer.importer import Importer
from tests.support.progress import CollectingReporter

NewStore = Callable[[], Awaitable[Store]]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.usefixtures("import_into_empty")
@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_export_import_export_is_byte_identical(new_store: NewStore, tmp_path: Path, form: ExportFormat) -> None:
    source, target = await new_store(), await new_store()
    await load_demo(source, 120, 3, CollectingReporter())
    await export_records(source, tmp_path / "first", CollectingReporter(), form)
    report = CollectingReporter()
    counts = (await Importer(target, report, NOW).run(tmp_path / "first")).counts
    await export_records(target, tmp_path / "second", CollectingReporter(), form)
    assert (report.problems, report.notes) == ([], [])
    assert counts["CoworkerBookingCreditUseHistory"].added > 60
    assert folder_contents(tmp_path / "first") == folder_contents(tmp_path / "second")
    checked = CollectingReporter()
    assert await verify_ledger(target, checked) > 120
    assert checked.problems == []


@pytest.mark.usefixtures("import_into_empty")
async def test_reimport_changes_nothing(new_store: NewStore, tmp_path: Path) -> None:
    source, target = await new_store(), await new_store()
    await load_demo(source, 60, 4, CollectingReporter())
    await export_records(source, tmp_path / "first", CollectingReporter())
    await Importer(target, CollectingReporter(), NOW).run(tmp_path / "first")
    lines = await verify_ledger(target, CollectingReporter())
    counts = (await Importer(target, CollectingReporter(), NOW).run(tmp_path / "first")).counts
    assert {(count.added, count.changed) for count in counts.values()} == {(0, 0)}
    assert await verify_ledger(target, CollectingReporter()) == lines
    await export_records(target, tmp_path / "second", CollectingReporter())
    assert folder_contents(tmp_path / "first") == folder_contents(tmp_path / "second")


async def test_demo_is_identical_on_both_engines(new_store: NewStore, sqlite_store: Store, tmp_path: Path) -> None:
    store = await new_store()
    await load_demo(store, 40, 9, CollectingReporter())
    await load_demo(sqlite_store, 40, 9, CollectingReporter())
    await export_records(store, tmp_path / "one", CollectingReporter())
    await export_records(sqlite_store, tmp_path / "two", CollectingReporter())
    assert folder_contents(tmp_path / "one") == folder_contents(tmp_path / "two")
    with pytest.raises(DatabaseNotEmpty):
        await load_demo(store, 40, 9, CollectingReporter())
