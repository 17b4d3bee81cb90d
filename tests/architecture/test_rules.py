"""Each rule of the ledger is named by a test over a store or the API, not only by unit tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
RULES = range(1, 35)
UNIT_TESTS = TESTS / "unit"
"""Tests of single decisions, without a store."""


def rules_cited(path: Path) -> set[int]:
    """The rules that the names of a module's tests cite, as `test_rule_7_…` or `…_rules_7_and_9`."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    cited = [re.match(r"test_rules?((?:_\d+|_and)+)_", f.name) for f in functions]
    return {int(number) for found in cited if found for number in re.findall(r"\d+", found[1])}


RULES_WITH_TESTS = {
    rule for path in TESTS.rglob("test_*.py") if UNIT_TESTS not in path.parents for rule in rules_cited(path)
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_has_a_test_over_a_store(rule: int) -> None:
    assert rule in RULES_WITH_TESTS
