"""The paths by which members and auditors check the ledger: proofs, checkpoints, the public key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.audit.openapi import CHECKPOINT_PAGE_SCHEMA, DIGEST_SCHEMA, PROOF_SCHEMA
from creditdesk.api.context import FURTHER_ERRORS, SUCCESS_CONTENT, ApiContext, Route, RouteHandler, json_success
from creditdesk.api.openapi_operations import read_operation
from creditdesk.api.query_params import DEFAULT_PAGE_SIZE, PAGE, SIZE
from creditdesk.api.responses import json_response
from creditdesk.audit.checkpoint_format import public_pem
from creditdesk.audit.checkpoints import (
    MerkleTreeCache,
    entry_id_of_use,
    latest_checkpoint,
    prove_entry,
)
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.ledger.stored_checkpoint import StoredCheckpoint
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.schema.errors import NotFound
from creditdesk.schema.fields import Integer
from creditdesk.schema.params import Param, Params
from creditdesk.schema.query import ListQuery, Order
from creditdesk.schema.service import RequestContext

MAX_CHECKPOINTS: Final = 1000
"""The most checkpoints on one page."""
_HISTORY: Final = Param("history", Integer(minimum=1), required=True)
_KIND: Final = Param("kind", required=True, choices=tuple(each.value for each in AccountType))
_FINGERPRINT: Final = Param("fingerprint")
_PEM_MEDIA_TYPE: Final = "application/x-pem-file"
_KEY_OPERATION: Final = {
    "parameters": [{"name": _FINGERPRINT.name, "in": "query", "required": False, "schema": DIGEST_SCHEMA}],
    SUCCESS_CONTENT: {_PEM_MEDIA_TYPE: {"schema": {"type": "string"}}},
}
_PROOF_CONTENT: Final = json_success(PROOF_SCHEMA) | {FURTHER_ERRORS: (409,)}


def audit_routes() -> tuple[Route, ...]:
    """The paths, for callers with the role that reads journal entries."""
    trees = MerkleTreeCache()
    role = JournalLine.roles["get"]

    def route(
        path: str, name: str, title: str, params: Sequence[Param], handler: RouteHandler, success: dict[str, Any]
    ) -> Route:
        operation = read_operation(path, title, role, params)
        return Route("GET", path, handler, operation | {"operationId": name} | success)

    return (
        route(
            "/api/ledger/proofs/{id}", "proofOfLine", "The proof of a journal entry, for the stand-alone verifier",
            (), partial(_get_proof, trees), _PROOF_CONTENT,
        ),
        route(
            "/api/ledger/proofs", "proofOfUse", "The proof of the journal entry that a use-history row shows",
            (_HISTORY, _KIND), partial(_get_proof_of_use, trees), _PROOF_CONTENT,
        ),
        route(
            "/api/ledger/checkpoints", "checkpoints", "The signed checkpoints of the whole ledger, newest first",
            (PAGE, SIZE), _list_checkpoints, json_success(CHECKPOINT_PAGE_SCHEMA),
        ),
        route(
            "/api/ledger/checkpoints/key", "checkpointKey",
            "The public key of the newest checkpoint, or the one with a fingerprint, as PEM",
            (), _get_key, _KEY_OPERATION,
        ),
    )  # fmt: skip


async def _get_proof(
    trees: MerkleTreeCache,
    api: ApiContext,
    _request: Request,
    context: RequestContext,
    entry_id: int,
) -> Response:
    """The proof of a journal entry."""
    require_role(context.principal, JournalLine, "get")
    scope = scope_filters(context.principal, JournalLine)
    async with api.store.read_session() as session:
        proof = await prove_entry(session, entry_id, scope, trees)
    return json_response(200, proof.document())


async def _get_proof_of_use(
    trees: MerkleTreeCache, api: ApiContext, request: Request, context: RequestContext, _id: int
) -> Response:
    """The proof of the entry that a use-history row shows."""
    require_role(context.principal, JournalLine, "get")
    params = Params((_HISTORY, _KIND), request.query_params)
    params.raise_errors()
    scope = scope_filters(context.principal, JournalLine)
    async with api.store.read_session() as session:
        entry_id = await entry_id_of_use(session, AccountType(params[_KIND]), params[_HISTORY])
        proof = await prove_entry(session, entry_id, scope, trees)
    return json_response(200, proof.document())


async def _list_checkpoints(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    require_role(context.principal, JournalLine, "get")
    params = Params((PAGE, SIZE), request.query_params)
    params.raise_errors()
    page, size = params[PAGE] or 1, min(params[SIZE] or DEFAULT_PAGE_SIZE, MAX_CHECKPOINTS)
    newest_first = Order(StoredCheckpoint.meta().columns["Id"], descending=True)
    async with api.store.read_session() as session:
        found = await session.page(ListQuery(StoredCheckpoint, (), newest_first, page, size))
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


async def _get_key(api: ApiContext, request: Request, context: RequestContext, _id: int) -> Response:
    require_role(context.principal, JournalLine, "get")
    params = Params((_FINGERPRINT,), request.query_params)
    params.raise_errors()
    fingerprint = (params[_FINGERPRINT] or "").strip().lower()
    async with api.store.read_session() as session:
        checkpoint = await latest_checkpoint(session, fingerprint or None)
    if checkpoint is None:
        raise NotFound
    return Response(public_pem(checkpoint.public_key), media_type=_PEM_MEDIA_TYPE)
