"""The examples in the documentation run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_ledger_examples_run() -> None:
    failed, tried = doctest.testfile(
        str(DOCS / "ledger.md"), module_relative=False, optionflags=doctest.FAIL_FAST
    )
    assert tried > 15
    assert failed == 0


def test_tests_named_in_docs_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "wire.md").read_text()))
    written = {
        name
        for file in Path(__file__).parent.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 30
    assert named <= written
