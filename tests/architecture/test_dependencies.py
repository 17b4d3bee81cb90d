"""The declared dependencies are those that the program imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import creditdesk

ROOT = Path(creditdesk.__file__).parent
PROJECT = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
USED_BY_OTHERS = {
    "python-multipart": "starlette reads forms with it",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "uvloop": "granian runs it where it is installed",
}


def declared(*lists: list[str]) -> set[str]:
    return {re.split(r"[ ;<>=\[]", each, maxsplit=1)[0] for requirements in lists for each in requirements}


def imported_modules() -> set[str]:
    """The top-level names that modules of the program import, by statement or by `import_module`."""
    found: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    found |= {each.name.partition(".")[0] for each in names}
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module.partition(".")[0])
                case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(module))]):
                    found.add(module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"creditdesk"}


def test_every_declared_package_is_used_and_every_used_package_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    names = declared(PROJECT["dependencies"], extras["pdf"], extras["otel"])
    distributions = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in found}
        for module, found in packages_distributions().items()
    }
    used = {module: distributions[module] for module in imported_modules()}
    assert [module for module, found in used.items() if not found & names] == []
    assert names.difference(*used.values()) == set(USED_BY_OTHERS)
