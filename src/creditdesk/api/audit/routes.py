"""The paths by which members and auditors check the ledger: proofs, checkpoints, the public key."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.audit.openapi import AUDIT_OPERATIONS, PEM_MEDIA_TYPE
from creditdesk.api.context import ApiContext, Route, RouteHandler
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
"""Most checkpoints of one page."""
_HISTORY: Final = Param("history", Integer(minimum=1), required=True)
_KIND: Final = Param("kind", required=True, choices=tuple(each.value for each in AccountType))
_FINGERPRINT: Final = Param("fingerprint")


def audit_routes() -> tuple[Route, ...]:
    """The paths, for callers with the role that reads journal entries."""
    trees = MerkleTreeCache()
    handlers: dict[str, RouteHandler] = {
        "/api/ledger/proofs/{id}": partial(_get_proof, trees),
        "/api/ledger/proofs": partial(_get_proof_of_use, trees),
        "/api/ledger/checkpoints": _list_checkpoints,
        "/api/ledger/checkpoints/key": _get_key,
    }
    return tuple(Route("GET", path, handler, AUDIT_OPERATIONS[path]) for path, handler in handlers.items())


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
    return Response(public_pem(checkpoint.public_key), media_type=PEM_MEDIA_TYPE)
