"""Where money moves, values are typed: untyped records end at the loaders and the mapping."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[2] / "src" / "creditdesk"
LEDGER: Final = SOURCE / "ledger"
MAPPING: Final = LEDGER / "journal" / "mapping.py"
TYPED: Final = [
    path for package in ("rules", "journal") for path in sorted((LEDGER / package).glob("*.py")) if path != MAPPING
]


def names_in_signatures(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the names of every annotation of a parameter, a result or a field."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        annotations = [
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
        ]
        for annotation in annotations:
            if isinstance(annotation, ast.expr):
                for part in ast.walk(annotation):
                    if isinstance(part, ast.Name):
                        yield annotation.lineno, part.id


@pytest.mark.parametrize("path", TYPED, ids=lambda path: path.name)
def test_rules_and_journal_have_no_untyped_signature(path: Path) -> None:
    assert [line for line, name in names_in_signatures(path) if name == "Any"] == []


def record_subscripts(path: Path) -> Iterator[int]:
    """The lines that read a value by its name; look-ups of declared columns are none."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
            and not (isinstance(node.value, ast.Attribute) and node.value.attr == "columns")
        ):
            yield node.lineno


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(LEDGER.rglob("*.py")) if p.parent.name != "loaders" and p != MAPPING],
    ids=lambda path: path.name,
)
def test_ledger_reads_no_record_by_name(path: Path) -> None:
    assert list(record_subscripts(path)) == []
