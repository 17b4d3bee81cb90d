"""The texts for people that the API writes, as its source has them: the keys that every catalogue needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import creditdesk

_ROOT: Final = Path(creditdesk.__file__).parent
_PACKAGES: Final = (
    "api",
    "audit",
    "auth",
    "entities",
    "ledger",
    "reports",
    "scheduler",
    "schema",
    "storage",
    "transfer",
)
_FILES: Final = ("import_routes.py", "job_control.py")
_VALUE: Final = "{}"
_PLACES: Final[dict[str, tuple[tuple[int, str], ...]]] = {
    **dict.fromkeys(
        ("ParseError", "StateConflict", "PermissionDenied", "Conflict", "MethodNotAllowed", "ActionResult",
         "action_body", "IdempotencyKeyReused", "Unauthenticated", "RateLimited"),
        ((0, "message"),),
    ),
    **dict.fromkeys(("invalid_field", "FieldError", "add_error", "parse_decimal"), ((1, "message"),)),
    **dict.fromkeys(("label", "worded"), ((0, "text"),)),
    "_answered": ((2, "message"),),
    "JobDeclaration": ((1, "description"),),
    "ReportColumn": ((1, "title"), (3, "description")),
    "ReportSection": ((0, "title"),),
    "ReportResult": ((1, "title"), (2, "subtitle")),
    "ExceptionRule": ((1, "title"), (2, "action")),
    "LedgerException": ((3, "explanation"),),
    "ExceptionFinding": ((2, "explanation"),),
}  # fmt: skip
"""The calls that take a text for people, and where in their arguments it stands."""


@cache
def api_messages() -> frozenset[str | tuple[str, str]]:
    """Each text once, with `{}` for its values; the singular and the plural of a counted one together."""
    files = [_ROOT / name for name in _FILES]
    files += [file for package in _PACKAGES for file in (_ROOT / package).rglob("*.py")]
    return frozenset(text for file in files for text in _texts_of(file))


def _texts_of(file: Path) -> Iterator[str | tuple[str, str]]:
    """The texts of a module. What the audit finds is written by commands alone; pages name the kinds of findings."""
    is_audit = file.parent.name == "audit"
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            if _name_of(node.func) == "counted_text":
                one, many = (ast.literal_eval(each) for each in node.args[1:3])
                yield one, many
            for place, keyword in _PLACES.get(_name_of(node.func), ()):
                named = [each.value for each in node.keywords if each.arg == keyword]
                for argument in (*node.args[place : place + 1], *named):
                    yield from _templates(argument)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and not is_audit:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(
                isinstance(each, ast.Name) and each.id.endswith(("_MESSAGE", "_TITLES", "explanation", "message"))
                for each in targets
            ):
                values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
                for value in values:
                    yield from _templates(value)


def _name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def _templates(value: ast.expr) -> Iterator[str]:
    """The texts that an expression may become; none where it is no literal."""
    match value:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else _VALUE for part in parts)
            if text.strip(_VALUE):
                yield text
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add()):
            yield text + _VALUE
        case ast.IfExp(body=first, orelse=second):
            yield from _templates(first)
            yield from _templates(second)
