"""The examples in the documentation run."""

from __future__ import annotations

import doctest
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_ledgers_examples_answer_as_written() -> None:
    failed, tried = doctest.testfile(
        str(DOCS / "ledger.md"), module_relative=False, optionflags=doctest.FAIL_FAST
    )
    assert tried > 15
    assert failed == 0
