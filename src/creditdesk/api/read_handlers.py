"""The reading endpoints of every entity: list, batch, one.

Scope is a filter like any other: what the caller may not see is not found and not counted. Must not
know how a caller was told from another.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import ApiContext
from creditdesk.api.envelope import list_envelope
from creditdesk.api.query_params import parse_batch_ids, parse_list_query
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.api.serializer import encode, serializer_for
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound
from creditdesk.schema.service import RequestContext


async def list_or_batch(
    api: ApiContext, entity: type[Entity], request: Request, context: RequestContext
) -> Response:
    """A page in its envelope, or the bare array of a batch, `?id=[1,2,3]`."""
    query = request.scope["query_string"]
    ids = parse_batch_ids(query) if b"[" in query or b"%5" in query else None
    if ids is not None:
        api.require_role(context.principal, entity, "get")
        return await _get_batch(api, entity, ids, context)
    api.require_role(context.principal, entity, "list")
    parsed = parse_list_query(entity, query, api.settings)
    asked = parsed.query
    seen = api.scope(context.principal, entity)
    listing = replace(asked, filters=(*asked.filters, *seen)) if seen else asked
    async with api.store.read_session() as reading:
        page = await reading.page(listing)
    body = encode(list_envelope(serializer_for(entity).rows(page.columns), parsed, page.total))
    return JsonBytesResponse(body)


async def _get_batch(
    api: ApiContext, entity: type[Entity], ids: list[int], context: RequestContext
) -> Response:
    async with api.store.read_session() as reading:
        found = (
            await reading.get_many(entity, ids, api.scope(context.principal, entity)) if ids else {}
        )
    show = serializer_for(entity).record
    return JsonBytesResponse(encode([show(found[i]) for i in ids if i in found]))


async def get_one(
    api: ApiContext, entity: type[Entity], record_id: int, context: RequestContext
) -> Response:
    """The whole record, collections included."""
    api.require_role(context.principal, entity, "get")
    async with api.store.read_session() as reading:
        record = await reading.get(entity, record_id, api.scope(context.principal, entity))
    if record is None:
        raise NotFound
    return JsonBytesResponse(encode(serializer_for(entity).record(record)))
