"""The walk through closing a month (docs/how-to/close-a-month.md): its commands run, its figures are true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from creditdesk.cli.program import OK, run

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "close-a-month.md"
COLUMNS = ("Opening", "Granted", "Reversed", "Used", "Voided", "Expired", "Reopened", "Closing")
Captured = pytest.CaptureFixture[str]


def walkthrough() -> tuple[list[list[str]], list[list[str]]]:
    """The commands after the first, which sets variables; and the cells of the table of totals."""
    text = PAGE.read_text("utf-8").partition("## Walk through it on the demo")[2]
    commands = [shlex.split(line) for line in re.findall(r"^\$ creditdesk (.*)$", text, re.MULTILINE)]
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| (money|printing|time)", line)]
    return commands, [[cell.strip().replace(",", "").replace("−", "-") for cell in row] for row in rows]


def test_the_walkthrough_of_a_month_runs_and_shows_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("CREDITDESK_DATABASE_URL", f"sqlite:///{tmp_path / 'month.db'}")
    monkeypatch.setenv("CREDITDESK_REPORT_FOLDER", str(tmp_path / "reports"))
    commands, expected = walkthrough()
    assert len(commands) == 8
    shown: list[str] = []
    for command in commands:
        capsys.readouterr()
        assert run(command) == OK, command
        shown.append(capsys.readouterr().out)
    exceptions, rolled, before, closed, after, expired = shown[2:]
    assert exceptions.startswith("Exceptions: 2 found")
    assert "2026-10 is closed" in closed
    assert "was closed on" in after
    assert after.startswith(before.partition("\nLocations:")[0])
    assert rolled.startswith("Roll-forward")
    assert "-64.00" in expired
    capsys.readouterr()
    assert run([*commands[3], "--format", "json"]) == OK
    totals = json.loads(capsys.readouterr().out)["Totals"]
    found = [[f"{row['Kind']} {row['Unit']}", *(str(row[name]) for name in COLUMNS)] for row in totals]
    assert found == expected
