"""`creditdesk checkpoint` as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from creditdesk.audit.checkpoint_check import verify_sealed
from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    check_checkpoints,
    checkpoint_digest,
    generate_key,
    private_pem,
)
from creditdesk.cli.checkpoint import checkpoint, kept_checkpoint
from creditdesk.cli.data import demo
from creditdesk.cli.output import Problem
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.schema.progress import Gathered
from creditdesk.storage.engine import open_store


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('desk')}/desk.db"
    demo(uses=60, seed=2, database=url)
    return url


def test_checkpoints_go_to_files_and_follow_one_another(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = generate_key()
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    made: list[Checkpoint] = []
    for name in ("first.json", "second.json"):
        out = tmp_path / "kept" / name
        assert checkpoint(key=tmp_path / "key.pem", out=out, database=database) == 0
        made.append(Checkpoint.from_document(json.loads(out.read_text())))
        assert checkpoint_digest(made[-1]).hex() in capsys.readouterr().out
        assert kept_checkpoint(out) == made[-1]
    assert made[0].credits > 0
    assert check_checkpoints(made, [key.public_key()]) == []
    report = Gathered()
    asyncio.run(_verify(database, made[0], report))
    assert report.problems == []


def test_without_a_key_the_database_has_its_own(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkpoint(database=database) == 0
    assert "are sealed." in capsys.readouterr().out


def test_a_kept_checkpoint_is_never_written_over(database: str, tmp_path: Path) -> None:
    out = tmp_path / "kept.json"
    out.write_text("kept")
    with pytest.raises(Problem, match="is there already"):
        checkpoint(out=out, database=database)
    assert out.read_text() == "kept"


def test_a_file_without_a_key_is_refused(database: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(Problem, match="holds no key to sign with"):
        checkpoint(key=tmp_path / "key.pem", database=database)
    with pytest.raises(Problem, match="holds no checkpoint"):
        kept_checkpoint(tmp_path / "key.pem")


async def _verify(database: str, kept: Checkpoint, report: Gathered) -> None:
    store = await open_store(database)
    try:
        await verify_sealed(store, kept, report)
    finally:
        await store.close()


def test_verify_holds_the_journal_against_a_kept_checkpoint(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kept.json"
    assert run(["checkpoint", "--out", str(out), "--database", database]) == OK
    kept = ["verify", "--checkpoint", str(out), "--database", database]
    assert run(kept) == OK
    with sqlite3.connect(database.removeprefix("sqlite:///")) as file:
        file.execute("DROP TRIGGER journal_line_no_delete")
        file.execute("DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = 1")
    capsys.readouterr()
    assert run(kept) == FAILED
    assert "money credit 1, line 1: sealed by the checkpoint, is cut off" in capsys.readouterr().out
    assert run(["verify", "--checkpoint", str(tmp_path / "none.json")]) == FAILED
