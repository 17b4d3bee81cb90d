"""One language: standard terms in identifiers and prose, and one meaning per module-level name."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = sorted((ROOT / "src").rglob("*.py"))
PYTHON: Final = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)
DOCUMENTS: Final = sorted(  # without benchmarks/results, which keeps measurements as they were written
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
)

BANNED_WORDS: Final = {
    "asked": "requested, request, item",
    "aside": "suspended",
    "foretell": "predict",
    "furnish": "create",
    "heard": "recording",
    "lapse": "expire",
    "lapsed": "expired",
    "lapses": "expires",
    "lend": "embed",
    "lender": "embedded entity",
    "lenders": "text_filters",
    "lends": "embeds",
    "lent": "embedded",
    "mend": "restore, fix",
    "mended": "fixed",
    "miscount": "counter mismatch",
    "refusal": "error",
    "refusals": "errors",
    "said": "params, parsed row",
    "seal": "checkpoint",
    "strays": "out_of_window",
    "sweep": "expire",
    "tallied": "counted",
    "tally": "counters",
    "teller": "worker",
    "told": "reported, options",
    "town": "ledger_builder",
    "twin": "delta field",
    "twins": "delta fields",
    "unheld": "unreserved",
    "untrue": "stale",
    "whose": "payer, owner",
}
"""Words that no identifier contains, each with the standard term."""

BANNED_NAMES: Final = {
    "Act": "WriteRequest",
    "AskedBasket": "BasketRequest",
    "Blocked": "StateConflict",
    "Book": "JournalTransaction",
    "Broken": "InvariantViolation",
    "Call": "RequestContext",
    "Caller": "Principal",
    "Desk": "LedgerContext",
    "Drawing": "SpendPlan",
    "Drawn": "SpendResult",
    "Finding": "Finder, ChainFinding",
    "Given": "Params",
    "Invalid": "ValidationError",
    "KeyReused": "IdempotencyKeyReused",
    "Lend": "Embed",
    "Line": "JournalEntry",
    "Listing": "ListQuery",
    "Locked": "LockedAccount",
    "Look": "ReadRequest",
    "NoSuchVerb": "MethodNotAllowed",
    "NotAllowed": "PermissionDenied",
    "NotSignedIn": "Unauthenticated",
    "Parts": "ApiContext",
    "PutOff": "Deferred",
    "Question": "FindQuery",
    "Reading": "ReadSession",
    "Reason": "ReasonCode",
    "Refusal": "DomainError",
    "Said": "ActionResult, ParsedRow",
    "Shape": "EntityMeta",
    "Side": "CreditTypeMapping",
    "Test": "Comparison",
    "Throttled": "RateLimited",
    "Together": "BatchQueue",
    "Unit": "WriteSession",
    "Unreadable": "ParseError",
    "Wanted": "ReferenceCheck",
    "Whose": "Buyer",
    "Why": "EntryMetadata",
    "Writer": "EntityService",
    "Written": "PendingEntry",
}
"""Names that no class has, each with the standard term."""

BANNED_PROSE: Final = {
    r"arrows?": "dependency",
    r"at hand": "cached, available",
    r"foretell": "predict",
    r"(?-i:(?!Lapsing\b))laps(e|es|ed|ing)": "expire (`Lapsing` is a field of our API)",
    r"lent|lends": "embedded, embeds",
    r"let(s|ting)? go": "release",
    r"mend(s|ed|ing)?": "fix, restore",
    r"must not know": "an import contract",
    r"put(s|ting)? off": "defer",
    r"refusals?": "error",
    r"swept|sweeps?": "expire, expiry job",
    r"tall(y|ies|ied)": "counter",
    r"tellers?": "worker",
    r"the house": "the project",
    r"the wire": "the HTTP API",
    r"told": "reported, returned",
    r"twins?": "delta field",
    r"untrue": "stale",
    r"whoever|whomever": "callers that",
}
"""What no docstring, comment, message or document says (as regular expressions), with the term."""

SHARED_NAMES: Final = {
    "MIGRATIONS": "each module of migrations lists its steps",
    "migrate": "the operation and the command that runs it",
    "translate_error": "each engine translates the errors of its driver",
}
"""Public names that several modules define, each with the reason."""


ANY_BANNED_PROSE = re.compile(rf"\b(?:{'|'.join(BANNED_PROSE)})\b", re.IGNORECASE)


@cache
def words_of(identifier: str) -> set[str]:
    """The lower-case words of a snake_case or CamelCase identifier."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def definitions(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every function, class, parameter, variable and attribute that is defined."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()) if not is_wire_name(path, node.id):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def is_wire_name(path: Path, name: str) -> bool:
    """Whether the name is a field of the imitated API."""
    return "entities" in path.parts and name[0].isupper()


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every comment and every string with more than one word."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text("utf-8").splitlines(), 1)
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, line


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_identifiers_use_standard_terms(path: Path) -> None:
    found = [
        f"{relative(path)}:{line} {name}: {BANNED_WORDS[word]}"
        for line, name in definitions(path)
        for word in words_of(name) & BANNED_WORDS.keys()
    ]
    found += [
        f"{relative(path)}:{node.lineno} {node.name}: {BANNED_NAMES[node.name]}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and node.name in BANNED_NAMES
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", [*PYTHON, *DOCUMENTS], ids=relative)
def test_prose_uses_standard_terms(path: Path) -> None:
    found = [
        f"{relative(path)}:{line} “{match[0]}”: {term}"
        for line, text in prose(path)
        if ANY_BANNED_PROSE.search(text)
        for pattern, term in BANNED_PROSE.items()
        for match in re.finditer(rf"\b({pattern})\b", text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


def test_module_level_names_have_one_meaning() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in SOURCE:
        for name in sorted(set(public_names(parse(path)))):
            defined[name].append(relative(path))
    shared = {name: places for name, places in defined.items() if len(places) > 1}
    assert {n: p for n, p in shared.items() if n not in SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() <= shared.keys(), "an exception that is no longer needed"


def public_names(module: ast.Module) -> Iterator[str]:
    """The classes, functions and constants that a module defines for others."""
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
                names = []
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_") and len(name) > 1)
