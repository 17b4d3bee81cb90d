"""No command but `init`, `migrate` and `demo` creates a database; its files are private."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from creditdesk.cli.program import FAILED, OK, run
from creditdesk.storage.engine import open_store
from tests.support.databases import create_postgres_database, database_name, drop_postgres_database
from tests.support.server_process import creditdesk_command, free_port, process_environment

Captured = pytest.CaptureFixture[str]
OPENING = (
    ["serve"],
    ["verify"],
    ["export", "out"],
    ["import", "in"],
    ["renew"],
    ["expire"],
    ["checkpoint"],
    ["user", "add", "ann@x.example"],
    ["user", "token", "ann@x.example"],
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a database that does not exist yet, set in the environment."""
    path = tmp_path / "data" / "creditdesk.db"
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return path


@pytest.mark.parametrize("arguments", OPENING, ids=" ".join)
@pytest.mark.parametrize("is_empty", [False, True])
def test_missing_file_is_named_and_not_created(
    arguments: list[str], is_empty: bool, file: Path, capsys: Captured
) -> None:
    if is_empty:
        file.parent.mkdir()
        file.touch()
    assert run(arguments) == FAILED
    message = f"There is no database at {file}. Run: creditdesk init --admin EMAIL\n"
    assert capsys.readouterr() == ("", message)
    assert not file.exists() or file.stat().st_size == 0
    assert not (file.parent / "creditdesk.db-wal").exists()


@pytest.mark.parametrize("command", ["serve", "verify", "export"])
def test_empty_postgresql_database_stays_empty(command: str, postgres_server: str, capsys: Captured) -> None:
    url = create_postgres_database(postgres_server)
    arguments = [command, "out"] if command == "export" else [command]
    assert run([*arguments, "--database", url]) == FAILED
    message = "The database is empty. Run: creditdesk init --admin EMAIL\n"
    assert capsys.readouterr() == ("", message)
    drop_postgres_database(postgres_server, url)


def first_lines(database: str, count: int) -> list[str]:
    """The first lines that `serve` prints."""
    port = str(free_port())
    server = subprocess.Popen(
        creditdesk_command("serve", "--port", port, "--database", database),
        env=process_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        lines = [server.stdout.readline().strip() for _ in range(count)]
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)
        server.stdout.close()
    return [line.replace(port, "PORT") for line in lines]


def test_serve_says_which_database_where_the_page_is_and_who_can_sign_in(file: Path) -> None:
    url = f"sqlite:///{file}"
    assert run(["migrate"]) == OK
    start = [
        "creditdesk serves http://127.0.0.1:PORT",
        f"Database: {file}",
        "Console: http://127.0.0.1:PORT/console/",
        "Page: http://127.0.0.1:PORT/docs",
    ]
    nobody = "No operator user can sign in yet. Run: creditdesk init --admin EMAIL"
    assert first_lines(url, 5) == [*start, nobody]
    assert run(["init", "--admin", "boss@x.example"]) == OK
    assert first_lines(url, 5) == [*start, "Operator users who can sign in: 1"]


def test_serve_shows_no_password(postgres_server: str, postgres_template: str) -> None:
    url = create_postgres_database(postgres_server, postgres_template)
    lines = first_lines(url, 5)
    assert lines[1].startswith("Database: postgresql://")
    assert lines[1].endswith(f"/{database_name(url)}")
    assert "@" not in lines[1]
    drop_postgres_database(postgres_server, url)


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_database_exports_and_checkpoints_are_private(file: Path, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        assert run(["demo", "--uses", "12"]) == OK
        for folder in ("jsonl", "csv", "beancount"):
            assert run(["export", folder, "--format", folder]) == OK
        assert run(["checkpoint", "--out", "checkpoint.json"]) == OK
    finally:
        os.umask(umask)
    found = modes(tmp_path)
    assert len(found) > 60
    assert set(found.values()) == {"0o600"}, found


def test_existing_files_become_private(file: Path, tmp_path: Path) -> None:
    assert run(["demo", "--uses", "12"]) == OK
    assert run(["export", "out"]) == OK
    for path in (file, *(tmp_path / "out").iterdir()):
        path.chmod(0o644)
    assert run(["export", "out"]) == OK
    assert set(modes(tmp_path).values()) == {"0o600"}


def test_logs_of_an_open_database_are_private(file: Path, tmp_path: Path) -> None:
    async def open_and_look() -> dict[str, str]:
        store = await open_store(f"sqlite:///{file}")
        async with store.write_session() as session:
            await session.next_ids({})
        found = modes(file.parent)
        await store.close()
        return found

    umask = os.umask(0)
    try:
        assert run(["migrate"]) == OK
        file.chmod(0o666)
        (file.parent / "creditdesk.db-wal").touch(0o666)
        found = asyncio.run(open_and_look())
    finally:
        os.umask(umask)
    assert {"creditdesk.db", "creditdesk.db-wal", "creditdesk.db-shm"} <= set(found)
    assert set(found.values()) == {"0o600"}, found
