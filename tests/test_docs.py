"""Documentation is current: examples run, generated pages match, named tests exist."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from creditdesk.cli.program import app
from tests.support.reference_pages import REFERENCE, pages

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = DOCS / "explanation" / "decisions"


def test_ledger_examples_run() -> None:
    failed, tried = doctest.testfile(
        str(DOCS / "explanation" / "rules.md"), module_relative=False, optionflags=doctest.FAIL_FAST
    )
    assert tried > 15
    assert failed == 0


def documented_commands() -> list[str]:
    """Every command line of creditdesk in the blocks of the pages, without variables, substitutions and redirections."""
    pages = [*(DOCS / "how-to").glob("*.md"), *(DOCS / "explanation").glob("*.md"), ROOT / "README.md"]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [
        re.findall(r"(?:^|[\s/])creditdesk ((?!creditdesk)[a-z].*)", re.sub(r"\$\([^)]*\)", "x", line))
        for line in lines
    ]
    return [re.split(r"\s(?:[|>&;#]|2>)|'$", command)[0] for found in commands for command in found]


def test_documented_commands_are_commands() -> None:
    commands = [shlex.split(command.replace("…", "x")) for command in documented_commands()]
    assert len(commands) > 40
    for arguments in commands:
        app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_tests_named_in_docs_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "reference" / "conventions.md").read_text()))
    written = {
        name
        for file in Path(__file__).parent.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 30
    assert named <= written


def test_generated_reference_is_current() -> None:
    for name, text in pages().items():
        assert (REFERENCE / name).read_text("utf-8") == text, f"{name}: run `make reference`"


def test_decisions_have_date_and_status_and_are_listed() -> None:
    records = sorted(DECISIONS.glob("0*.md"))
    index = (DECISIONS / "index.md").read_text()
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert re.search(r"\*\*Date\.\*\* \d{4}-\d\d-\d\d · \*\*Status\.\*\* \w+", text), record.name
        for part in ("Context", "Decision", "Consequences", "Rejected"):
            assert f"**{part}.**" in text, f"{record.name} lacks {part}"
        assert f"]({record.name})" in index, f"{record.name} is not in index.md"


def test_links_between_pages_lead_somewhere() -> None:
    sources = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    broken = [
        f"{source.relative_to(ROOT)}: {target}"
        for source in sources
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", source.read_text())
        if not (source.parent / target).exists()
    ]
    assert not broken


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    for name in ("docs", "zensical.toml", "ARCHITECTURE.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path, check=False, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    files = list((tmp_path / "build" / "docs").rglob("*.html"))
    assert len(files) > 20
    for page in files:
        loads = r"""<(?:script|img|link)\b[^>]*?\b(?:src|href)="?(https?:[^"\s>]+)"""
        assert not re.findall(loads, page.read_text()), page.name
