"""The commands `checkpoint` and `verify --checkpoint`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from creditdesk.audit.checkpoint_check import verify_checkpoint
from creditdesk.audit.checkpoint_format import (
    Checkpoint,
    check_checkpoint_sequence,
    checkpoint_digest,
    generate_key,
    private_pem,
)
from creditdesk.cli.checkpoint import checkpoint, load_checkpoint
from creditdesk.cli.data import demo
from creditdesk.cli.output import CliError
from creditdesk.cli.program import FAILED, OK, run
from creditdesk.storage.engine import open_store
from tests.support.progress import CollectingReporter


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('database')}/creditdesk.db"
    demo(uses=60, seed=2, database=url)
    return url


def test_checkpoints_are_written_and_chained(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = generate_key()
    (tmp_path / "key.pem").write_bytes(private_pem(key))
    made: list[Checkpoint] = []
    for name in ("first.json", "second.json"):
        out = tmp_path / "kept" / name
        assert checkpoint(key=tmp_path / "key.pem", out=out, database=database) == 0
        made.append(Checkpoint.from_document(json.loads(out.read_text())))
        assert checkpoint_digest(made[-1]).hex() in capsys.readouterr().out
        assert load_checkpoint(out) == made[-1]
    assert made[0].credits > 0
    assert check_checkpoint_sequence(made, [key.public_key()]) == []
    report = CollectingReporter()
    asyncio.run(_verify(database, made[0], report))
    assert report.problems == []


def test_database_key_is_the_default(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoint(database=database) == 0
    assert "The checkpoint covers " in capsys.readouterr().out


def test_existing_checkpoint_file_is_not_overwritten(database: str, tmp_path: Path) -> None:
    out = tmp_path / "kept.json"
    out.write_text("kept")
    with pytest.raises(CliError, match="already exists"):
        checkpoint(out=out, database=database)
    assert out.read_text() == "kept"


def test_file_without_key_is_rejected(database: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(CliError, match="is not a signing key"):
        checkpoint(key=tmp_path / "key.pem", database=database)
    with pytest.raises(CliError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "key.pem")


async def _verify(database: str, kept: Checkpoint, report: CollectingReporter) -> None:
    store = await open_store(database)
    try:
        await verify_checkpoint(store, kept, report)
    finally:
        await store.close()


def test_verify_with_checkpoint(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.json"
    assert run(["checkpoint", "--out", str(out), "--database", database]) == OK
    kept = ["verify", "--checkpoint", str(out), "--database", database]
    assert run(kept) == OK
    with sqlite3.connect(database.removeprefix("sqlite:///")) as file:
        file.execute("DROP TRIGGER journal_line_no_delete")
        file.execute("DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = 1")
    capsys.readouterr()
    assert run(kept) == FAILED
    assert "missing, which the checkpoint covers" in capsys.readouterr().out
    assert run(["verify", "--checkpoint", str(tmp_path / "none.json")]) == FAILED
