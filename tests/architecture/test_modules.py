"""Rules of the architecture under test: dependencies, names, sizes, clocks and floats."""

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
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED_MODULE_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "managers",
    "base",
    "common",
    "misc",
}
PURE_MODULES = [path for path in MODULES if path.relative_to(ROOT).parts[0] in ("ledger", "schema")]
CLOCK_CALLS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
          ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "perf_counter")}  # fmt: skip


def relative_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse_module(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_import_contracts_hold() -> None:
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT.parent.parent,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", MODULES, ids=relative_path)
class TestModules:
    """Every module of the program."""

    def test_has_docstring(self, path: Path) -> None:
        assert ast.get_docstring(parse_module(path))

    def test_is_short(self, path: Path) -> None:
        assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES

    def test_functions_are_short(self, path: Path) -> None:
        long = [
            node.name
            for node in ast.walk(parse_module(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
        ]
        assert not long

    def test_name_is_specific(self, path: Path) -> None:
        assert not BANNED_MODULE_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", PURE_MODULES, ids=relative_path)
class TestPurePackages:
    """The ledger and the declarations take the time as an argument and compute with integers."""

    def test_reads_no_clock(self, path: Path) -> None:
        calls = [
            (node.func.value.id, node.func.attr)
            for node in ast.walk(parse_module(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ]
        assert not CLOCK_CALLS & set(calls)

    def test_makes_no_float(self, path: Path) -> None:
        # Checking for a float is fine, so that it can be rejected; creating one is not.
        found = [
            (node.lineno, ast.unparse(node))
            for node in ast.walk(parse_module(path))
            if (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")
        ]
        assert not found


@pytest.mark.parametrize("entity", CATALOG, ids=lambda entity: entity.__name__)
def test_entity_has_its_own_file(entity: type) -> None:
    path = Path(sys.modules[entity.__module__].__file__ or "")
    classes = [node.name for node in parse_module(path).body if isinstance(node, ast.ClassDef)]
    assert classes == [entity.__name__]
    assert path.stem.replace("_", "") == entity.__name__.lower()


@pytest.mark.parametrize("entity", CATALOG, ids=lambda entity: entity.__name__)
def test_entity_has_docstring(entity: type) -> None:
    assert entity.__doc__
    assert (entity.__doc__ or "").strip().endswith(".")
