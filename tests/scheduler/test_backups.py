"""Backups by the scheduled job, and which of them it removes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditdesk.cli.program import run
from creditdesk.scheduler.backups import BackupPlan, make_backup
from tests.support.databases import NewDatabase
from tests.support.server_process import ENCRYPTION_KEY

NIGHT = datetime(2026, 3, 10, 2, 30, tzinfo=UTC)


def plan(folder: Path) -> BackupPlan:
    async def make(path: Path) -> None:
        path.write_text("a copy")

    return BackupPlan(folder, timedelta(days=7), make)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_old_backups_go_and_other_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    for days in (9, 8, 7, 1):
        await make_backup(plan(folder), NIGHT - timedelta(days=days))
    for other in ("notes.txt", "creditdesk-2020.backup", "creditdesk-20200101T000000Z.backup.partial"):
        (folder / other).touch()
    message = await make_backup(plan(folder), NIGHT)
    assert message == "creditdesk-20260310T023000Z.backup, 6 bytes; 2 old ones removed"
    assert names(folder) == [
        "creditdesk-2020.backup",
        "creditdesk-20260303T023000Z.backup",
        "creditdesk-20260309T023000Z.backup",
        "creditdesk-20260310T023000Z.backup",
        "notes.txt",
    ]


async def test_a_backup_that_fails_removes_none(tmp_path: Path) -> None:
    await make_backup(plan(tmp_path), NIGHT - timedelta(days=90))

    async def fail(_path: Path) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await make_backup(BackupPlan(tmp_path, timedelta(days=7), fail), NIGHT)
    assert names(tmp_path) == ["creditdesk-20251210T023000Z.backup"]


def test_the_job_copies_the_database_and_leaves_a_record(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITDESK_BACKUP_FOLDER", str(tmp_path / "backups"))
    monkeypatch.setenv("CREDITDESK_AUTH_ENCRYPTION_KEY", ENCRYPTION_KEY)
    with new_database("sqlite") as url:
        assert run(["jobs", "run", "backup", "--database", url]) == 0
        assert run(["drill", "--from", str(next((tmp_path / "backups").iterdir())), "--database", url]) == 0
        capsys.readouterr()
        assert run(["audit", "--database", url]) == 0
    assert "backed up" in capsys.readouterr().out
