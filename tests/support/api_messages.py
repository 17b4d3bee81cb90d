"""The texts for people that the API writes, as its source has them: the keys that every catalogue needs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
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
_FILES: Final = ("import_routes.py", "job_control.py", "settings.py")
_VALUE: Final = "{}"
_PLACES: Final[dict[str, tuple[tuple[int, str], ...]]] = {
    **dict.fromkeys(
        ("JobFailed", "ParseError", "StateConflict", "PermissionDenied", "Conflict", "MethodNotAllowed", "ActionResult",
         "action_body", "IdempotencyKeyReused", "Unauthenticated", "RateLimited"),
        ((0, "message"),),
    ),
    **dict.fromkeys(("invalid_field", "FieldError", "add_error", "parse_decimal"), ((1, "message"),)),
    **dict.fromkeys(("label", "worded"), ((0, "text"),)),
    "setting": ((1, "meaning"),),
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
_PLACES_OF_FINDINGS: Final[dict[str, tuple[tuple[int, str], ...]]] = {
    "AuditFinding": ((1, "message"),),
    "of_record": ((3, "message"),),
    "difference": ((1, "what"),),
    "ChainFinding": ((1, "message"),),
    "_report": ((2, "message"),),
    "append": ((0, "message"),),
}
"""The same within the audit."""
_RETURN_MESSAGES: Final = frozenset(
    {"subject", "_difference", "remaining_within_overdraft", "remaining_within_total", "holds_within_remaining"}
)
"""Functions of the audit that return such a text."""


@cache
def api_messages() -> frozenset[str | tuple[str, str]]:
    """Each text once, with `{}` for its values; the singular and the plural of a counted one together."""
    files = [_ROOT / name for name in _FILES]
    files += [file for package in _PACKAGES for file in (_ROOT / package).rglob("*.py")]
    return frozenset(text for file in files for text in _texts_of(file))


def _texts_of(file: Path) -> Iterator[str | tuple[str, str]]:
    """The texts of a module."""
    tree = ast.parse(file.read_text("utf-8"))
    if file.parent.name == "audit" or file.name == "invariants.py":
        yield from _texts_of_findings(tree)
    if file.parent.name == "scheduler" and file.name in ("jobs.py", "backups.py"):
        # What a job returns is its result, for people.
        yield from _returned_texts(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if _name_of(node.func) == "counted_text":
                one, many = (ast.literal_eval(each) for each in node.args[1:3])
                yield one, many
            yield from _texts_of_call(node, _PLACES.get(_name_of(node.func), ()))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(
                isinstance(each, ast.Name) and each.id.endswith(("_MESSAGE", "_TITLES", "explanation", "message"))
                for each in targets
            ):
                values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
                for value in values:
                    yield from _templates(value)


def _texts_of_call(call: ast.Call, places: Iterable[tuple[int, str]]) -> Iterator[str]:
    for place, keyword in places:
        named = [each.value for each in call.keywords if each.arg == keyword]
        for argument in (*call.args[place : place + 1], *named):
            yield from _templates(argument)


def _texts_of_findings(tree: ast.Module) -> Iterator[str]:
    """What the audit finds: the messages that it reports, yields, and names beside a code."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func):
                yield from _texts_of_call(node, _PLACES_OF_FINDINGS.get(_name_of(func), ()))
            case ast.Yield(value=ast.expr() as value):
                yield from _templates(value)
            case ast.Tuple(elts=[ast.Attribute(value=ast.Name(id="FindingCode")), ast.expr() as named, *_]):
                yield from _templates(named)
            case ast.FunctionDef(name=name) if name in _RETURN_MESSAGES:
                yield from _returned_texts(node)


def _returned_texts(root: ast.AST) -> Iterator[str]:
    for node in ast.walk(root):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from _templates(node.value)


def _name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def _templates(value: ast.expr) -> Iterator[str]:
    """The texts that an expression may become; none where it is no literal."""
    match value:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else _VALUE for part in parts)
            if any(each.isalpha() for each in text.replace(_VALUE, "")):
                yield text
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add()):
            yield text + _VALUE
        case ast.IfExp(body=first, orelse=second):
            yield from _templates(first)
            yield from _templates(second)
