"""The paths by which members and auditors check the ledger: proofs, checkpoints, the public key.

Must not know how anything is sealed, nor which role or location a caller holds.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ExtraRoute, RoleCheck
from creditdesk.api.error_handlers import json_response
from creditdesk.audit.checkpoint_format import public_pem
from creditdesk.audit.checkpoints import (
    MerkleTreeCache,
    entry_id_of_use,
    latest_checkpoint,
    prove_entry,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.errors import NotFound, invalid_field
from creditdesk.schema.fields import Integer
from creditdesk.schema.query import ListQuery, Order
from creditdesk.schema.repository import Store
from creditdesk.schema.service import RequestContext, ScopeFilters

PEM_MEDIA_TYPE: Final = "application/x-pem-file"
DEFAULT_CHECKPOINTS_PAGE_SIZE: Final = 25
MAX_CHECKPOINTS_PAGE_SIZE: Final = 1000


def audit_routes(store: Store, demand: RoleCheck, scope: ScopeFilters) -> tuple[ExtraRoute, ...]:
    """The paths, for callers with the role that reads journal lines."""
    desk = _AuditApi(store, demand, scope)
    return tuple(
        ExtraRoute("GET", path, partial(endpoint, desk), operation)
        for path, endpoint, operation in AUDIT_ROUTES
    )


class _AuditApi:
    """What the paths stand on; the trees last proven from stay in memory."""

    def __init__(self, store: Store, demand: RoleCheck, scope: ScopeFilters) -> None:
        self.store = store
        self.tree_cache = MerkleTreeCache()
        self._demand = demand
        self._scope = scope

    def authorize(self, request: Request) -> RequestContext:
        call: RequestContext = request.state.call
        self._demand(call.principal, JournalLine, "get")
        return call

    async def prove(self, request: Request, line_id: int | None) -> Response:
        """The proof of a line, or of the one that a use-history row shows."""
        call = self.authorize(request)
        async with self.store.read_session() as reading:
            if line_id is None:
                line_id = await entry_id_of_use(reading, *_parse_history(request))
            scope = self._scope(call.principal, JournalLine)
            proof = await prove_entry(reading, line_id, scope, self.tree_cache)
        return json_response(200, proof.document())


async def _get_proof(desk: _AuditApi, request: Request) -> Response:
    text = request.path_params["use"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise NotFound
    return await desk.prove(request, int(text))


async def _get_proof_of_use(desk: _AuditApi, request: Request) -> Response:
    return await desk.prove(request, None)


async def _list_checkpoints(desk: _AuditApi, request: Request) -> Response:
    desk.authorize(request)
    page = _parse_positive(request, "page", 1)
    size = min(
        _parse_positive(request, "size", DEFAULT_CHECKPOINTS_PAGE_SIZE), MAX_CHECKPOINTS_PAGE_SIZE
    )
    newest_first = Order(StoredCheckpoint.meta().columns["Id"], descending=True)
    async with desk.store.read_session() as reading:
        found = await reading.page(ListQuery(StoredCheckpoint, (), newest_first, page, size))
    document = [column.name for column in StoredCheckpoint.meta().list_columns].index("Document")
    return json_response(
        200,
        {
            "Records": [row[document] for row in found.rows],
            "CurrentPage": page,
            "PageSize": size,
            "TotalItems": found.total,
            "HasNextPage": page * size < found.total,
        },
    )


async def _get_key(desk: _AuditApi, request: Request) -> Response:
    desk.authorize(request)
    async with desk.store.read_session() as reading:
        kept = await latest_checkpoint(
            reading, _query_value(request, "fingerprint").lower() or None
        )
    if kept is None:
        raise NotFound
    return Response(public_pem(kept.public_key), media_type=PEM_MEDIA_TYPE)


def _parse_history(request: Request) -> tuple[AccountType, int]:
    word = _query_value(request, "kind").lower()
    if word not in list(AccountType):
        raise invalid_field("kind", "must be money or time", word or None)
    number = _parse_positive(request, "history", 0)
    if not number:
        raise invalid_field("history", "is a required field")
    return AccountType(word), number


def _query_value(request: Request, name: str) -> str:
    found = [value for key, value in request.query_params.items() if key.lower() == name]
    return found[0].strip() if found else ""


def _parse_positive(request: Request, name: str, default: int) -> int:
    text = _query_value(request, name)
    if not text:
        return default
    try:
        number = Integer(minimum=1).parse(text)
    except ParseError as unreadable:
        raise invalid_field(name, str(unreadable), text) from None
    if name == "page" and number > 1_000_000_000:
        raise invalid_field(name, "is too large", text)
    return number


def _query_parameter(
    name: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
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


def _json_content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


AUDIT_ROUTES: Final = (
    (
        "/api/ledger/proofs/{use}",
        _get_proof,
        _operation(
            "proofOfLine",
            "The proof of a journal line, for the stand-alone verifier",
            _json_content(_PROOF),
            [{"name": "use", "in": "path", "required": True, "schema": _WHOLE}],
            404,
            409,
        ),
    ),
    (
        "/api/ledger/proofs",
        _get_proof_of_use,
        _operation(
            "proofOfUse",
            "The proof of the journal line that a use-history row shows",
            _json_content(_PROOF),
            [
                _query_parameter("history", _WHOLE, required=True),
                _query_parameter(
                    "kind", {"type": "string", "enum": ["money", "time"]}, required=True
                ),
            ],
            400,
            404,
            409,
        ),
    ),
    (
        "/api/ledger/checkpoints",
        _list_checkpoints,
        _operation(
            "checkpoints",
            "The signed checkpoints of the whole ledger, newest first",
            _json_content(_PAGE),
            [_query_parameter("page", _WHOLE), _query_parameter("size", _WHOLE)],
            400,
        ),
    ),
    (
        "/api/ledger/checkpoints/key",
        _get_key,
        _operation(
            "checkpointKey",
            "The public key of the newest checkpoint, or the one with a fingerprint, as PEM",
            {PEM_MEDIA_TYPE: {"schema": {"type": "string"}}},
            [_query_parameter("fingerprint", _HEX)],
            404,
        ),
    ),
)
"""Path, endpoint over what the paths stand on, and the OpenAPI operation."""
