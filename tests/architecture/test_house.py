"""The rules of the house that a machine can read: arrows, names, sizes, clocks and floats."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import creditdesk
from creditdesk.entities.catalog import CATALOG

ROOT = Path(creditdesk.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
LONGEST_LINES = 420
NO_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}
PURE = [path for path in MODULES if path.relative_to(ROOT).parts[0] in ("ledger", "schema")]
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
          ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "perf_counter")}  # fmt: skip


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_the_arrows_point_one_way() -> None:
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT.parent.parent,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", MODULES, ids=named)
class TestModules:
    """Every module of the program."""

    def test_it_says_its_duty(self, path: Path) -> None:
        assert ast.get_docstring(tree(path))

    def test_it_fits_on_a_few_screens(self, path: Path) -> None:
        assert len(path.read_text("utf-8").splitlines()) <= LONGEST_LINES

    def test_its_name_is_a_noun_of_the_trade(self, path: Path) -> None:
        assert not NO_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", PURE, ids=named)
class TestPureRooms:
    """The ledger and the declarations are told the instant, and count in whole steps."""

    def test_no_clock_of_its_own(self, path: Path) -> None:
        calls = [
            (node.func.value.id, node.func.attr)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ]
        assert not CLOCKS & set(calls)

    def test_no_float(self, path: Path) -> None:
        # That a value is a float may be asked, so that it can be refused; none is ever made.
        found = [
            (node.lineno, ast.unparse(node))
            for node in ast.walk(tree(path))
            if (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "float"
            )
        ]
        assert not found


@pytest.mark.parametrize("entity", CATALOG, ids=lambda entity: entity.__name__)
def test_an_entity_is_one_class_in_a_file_of_its_name(entity: type) -> None:
    path = Path(sys.modules[entity.__module__].__file__ or "")
    classes = [node.name for node in tree(path).body if isinstance(node, ast.ClassDef)]
    assert classes == [entity.__name__]
    assert path.stem.replace("_", "") == entity.__name__.lower()


@pytest.mark.parametrize("entity", CATALOG, ids=lambda entity: entity.__name__)
def test_an_entity_says_what_it_is(entity: type) -> None:
    assert entity.__doc__
    assert (entity.__doc__ or "").strip().endswith(".")
