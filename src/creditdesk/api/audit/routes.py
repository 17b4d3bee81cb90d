"""The paths by which members and auditors check the ledger: proofs, checkpoints, the public key.

Must not know how anything is sealed, nor which role or location a caller holds.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import Demands, ExtraPath
from creditdesk.api.error_handlers import json_answer
from creditdesk.audit.checkpoint_format import public_pem
from creditdesk.audit.checkpoints import Trees, line_of_history, newest, prove_use
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.ledger.journal.entry import CreditKind
from creditdesk.schema.errors import NotFound, invalid
from creditdesk.schema.fields import Integer, Unreadable
from creditdesk.schema.query import Listing, Order
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Call, Scope

PEM: Final = "application/x-pem-file"
DEFAULT_SIZE: Final = 25
LARGEST_SIZE: Final = 1000


def proof_paths(store: Store, demand: Demands, scope: Scope) -> tuple[ExtraPath, ...]:
    """The paths, for callers with the role that reads journal lines."""
    desk = _Desk(store, demand, scope)
    return tuple(
        ExtraPath("GET", path, partial(endpoint, desk), operation)
        for path, endpoint, operation in EXTRA_PATHS
    )


class _Desk:
    """What the paths stand on; the trees last proven from stay in memory."""

    def __init__(self, store: Store, demand: Demands, scope: Scope) -> None:
        self.store = store
        self.trees = Trees()
        self._demand = demand
        self._scope = scope

    def call(self, request: Request) -> Call:
        call: Call = request.state.call
        self._demand(call.caller, JournalLine, "get")
        return call

    async def prove(self, request: Request, line_id: int | None) -> Response:
        """The proof of a line, or of the one that a use-history row shows."""
        call = self.call(request)
        async with self.store.reading() as reading:
            if line_id is None:
                line_id = await line_of_history(reading, *_history(request))
            scope = self._scope(call.caller, JournalLine)
            proof = await prove_use(reading, line_id, scope, self.trees)
        return json_answer(200, proof.document())


async def _proof(desk: _Desk, request: Request) -> Response:
    text = request.path_params["use"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise NotFound
    return await desk.prove(request, int(text))


async def _proof_of_history(desk: _Desk, request: Request) -> Response:
    return await desk.prove(request, None)


async def _checkpoints(desk: _Desk, request: Request) -> Response:
    desk.call(request)
    page = _whole(request, "page", 1)
    size = min(_whole(request, "size", DEFAULT_SIZE), LARGEST_SIZE)
    newest_first = Order(StoredCheckpoint.shape().columns["Id"], descending=True)
    async with desk.store.reading() as reading:
        found = await reading.page(Listing(StoredCheckpoint, (), newest_first, page, size))
    document = [column.name for column in StoredCheckpoint.shape().listed].index("Document")
    return json_answer(
        200,
        {
            "Records": [row[document] for row in found.rows],
            "CurrentPage": page,
            "PageSize": size,
            "TotalItems": found.total,
            "HasNextPage": page * size < found.total,
        },
    )


async def _key(desk: _Desk, request: Request) -> Response:
    desk.call(request)
    async with desk.store.reading() as reading:
        kept = await newest(reading, _asked(request, "fingerprint").lower() or None)
    if kept is None:
        raise NotFound
    return Response(public_pem(kept.public_key), media_type=PEM)


def _history(request: Request) -> tuple[CreditKind, int]:
    word = _asked(request, "kind").lower()
    if word not in list(CreditKind):
        raise invalid("kind", "must be money or time", word or None)
    number = _whole(request, "history", 0)
    if not number:
        raise invalid("history", "is a required field")
    return CreditKind(word), number


def _asked(request: Request, name: str) -> str:
    found = [value for key, value in request.query_params.items() if key.lower() == name]
    return found[0].strip() if found else ""


def _whole(request: Request, name: str, default: int) -> int:
    text = _asked(request, name)
    if not text:
        return default
    try:
        number = Integer(least=1).read(text)
    except Unreadable as unreadable:
        raise invalid(name, str(unreadable), text) from None
    if name == "page" and number > 1_000_000_000:
        raise invalid(name, "is too large", text)
    return number


def _query(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _operation(
    name: str, summary: str, answer: dict[str, Any], parameters: list[dict[str, Any]], *refused: int
) -> dict[str, Any]:
    shared = {str(s): {"$ref": f"#/components/responses/{s}"} for s in (*refused, 401, 403, 429)}
    return {
        "operationId": name,
        "tags": ["ledger"],
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": {"description": "Done.", "content": answer}, **shared},
    }


_WHOLE: Final[dict[str, Any]] = {"type": "integer", "minimum": 1}
_HEX: Final[dict[str, Any]] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CHECKPOINT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-checkpoint-1"},
        "created_microseconds": {"type": "integer"},
        "credits": {"type": "integer"},
        "lines": {"type": "integer"},
        "root": _HEX,
        "previous": _HEX,
        "key_fingerprint": _HEX,
        "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
    },
    "required": ["format", "created_microseconds", "credits", "lines", "root", "previous",
                 "key_fingerprint", "signature"],
}  # fmt: skip
_PROOF: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "format": {"const": "creditdesk-proof-1"},
        "line": {"type": "object"},
        "previous": _HEX,
        "digest": _HEX,
        "following": {"type": "array", "items": _HEX},
        "head": _HEX,
        "blind": _HEX,
        "index": {"type": "integer", "minimum": 0},
        "path": {"type": "array", "items": _HEX},
        "checkpoint": _CHECKPOINT,
    },
    "required": ["format", "line", "previous", "digest", "following", "head", "blind", "index",
                 "path", "checkpoint"],
}  # fmt: skip
_PAGE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "Records": {"type": "array", "items": _CHECKPOINT},
        "CurrentPage": {"type": "integer"},
        "PageSize": {"type": "integer"},
        "TotalItems": {"type": "integer"},
        "HasNextPage": {"type": "boolean"},
    },
    "required": ["Records", "CurrentPage", "PageSize", "TotalItems", "HasNextPage"],
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


EXTRA_PATHS: Final = (
    (
        "/api/ledger/proofs/{use}",
        _proof,
        _operation(
            "proofOfLine",
            "The proof of a journal line, for the stand-alone verifier",
            _json(_PROOF),
            [{"name": "use", "in": "path", "required": True, "schema": _WHOLE}],
            404,
            409,
        ),
    ),
    (
        "/api/ledger/proofs",
        _proof_of_history,
        _operation(
            "proofOfUse",
            "The proof of the journal line that a use-history row shows",
            _json(_PROOF),
            [
                _query("history", _WHOLE, required=True),
                _query("kind", {"type": "string", "enum": ["money", "time"]}, required=True),
            ],
            400,
            404,
            409,
        ),
    ),
    (
        "/api/ledger/checkpoints",
        _checkpoints,
        _operation(
            "checkpoints",
            "The signed checkpoints of the whole ledger, newest first",
            _json(_PAGE),
            [_query("page", _WHOLE), _query("size", _WHOLE)],
            400,
        ),
    ),
    (
        "/api/ledger/checkpoints/key",
        _key,
        _operation(
            "checkpointKey",
            "The public key of the newest checkpoint, or the one with a fingerprint, as PEM",
            {PEM: {"schema": {"type": "string"}}},
            [_query("fingerprint", _HEX)],
            404,
        ),
    ),
)
"""Path, endpoint over what the paths stand on, and the OpenAPI operation."""
