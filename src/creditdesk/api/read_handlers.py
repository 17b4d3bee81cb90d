"""GET on any entity: a page of a list, a batch of ids, one record.

The caller's locations are filters like any other, so records of other locations are neither found nor counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.computed_fields import compute_fields, with_computed_columns
from creditdesk.api.context import ApiContext
from creditdesk.api.foreign_values import own_page, own_query, own_records
from creditdesk.api.query_params import ParsedListQuery, batch_ids, parse_list_query
from creditdesk.api.responses import JsonBytesResponse, list_envelope
from creditdesk.api.serializer import encode, serializer_for
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound
from creditdesk.schema.query import Page
from creditdesk.schema.service import RequestContext

INLINE_PAGE_SIZE: Final = 250
"""Larger pages are serialized on a thread, so that they do not block the event loop."""


async def list_or_batch(
    entity: type[Entity], api: ApiContext, request: Request, context: RequestContext, _id: int
) -> Response:
    """A page in its envelope, or for `?id=[1,2,3]` the bare array of those records."""
    query_string = request.scope["query_string"]
    ids = batch_ids(query_string)
    if ids is not None:
        return await _get_batch(entity, api, ids, context)
    require_role(context.principal, entity, "list")
    parsed = parse_list_query(entity, query_string, api.settings)
    query = own_query(parsed.query, context.principal)
    if scope := scope_filters(context.principal, entity):
        query = replace(query, filters=(*query.filters, *scope))
    async with api.store.read_session(snapshot=False) as session:
        page = await own_page(api, session, entity, await session.page(query), context.principal)
        page = await with_computed_columns(api, session, entity, page, context)
    if len(page.columns[0]) > INLINE_PAGE_SIZE:
        return JsonBytesResponse(await asyncio.to_thread(_page_body, parsed, page))
    return JsonBytesResponse(_page_body(parsed, page))


def _page_body(parsed: ParsedListQuery, page: Page) -> bytes:
    rows = serializer_for(parsed.query.entity).page(page.columns)
    return encode(list_envelope(rows, len(page.columns[0]), parsed, page.total))


async def _get_batch(entity: type[Entity], api: ApiContext, ids: list[int], context: RequestContext) -> Response:
    require_role(context.principal, entity, "get")
    scope = scope_filters(context.principal, entity)
    async with api.store.read_session(snapshot=False) as session:
        records = await session.get_many(entity, ids, scope) if ids else {}
        await own_records(api, session, entity, list(records.values()), context.principal)
        await compute_fields(api, session, entity, list(records.values()), context)
    serialize = serializer_for(entity).record
    return JsonBytesResponse(encode([serialize(records[i]) for i in ids if i in records]))


async def get_one(
    entity: type[Entity],
    api: ApiContext,
    _request: Request,
    context: RequestContext,
    record_id: int,
) -> Response:
    """The full record, collections included."""
    require_role(context.principal, entity, "get")
    scope = scope_filters(context.principal, entity)
    async with api.store.read_session(snapshot=False) as session:
        record = await session.get(entity, record_id, scope)
        if record is None:
            raise NotFound
        await own_records(api, session, entity, [record], context.principal)
        await compute_fields(api, session, entity, [record], context)
    return JsonBytesResponse(encode(serializer_for(entity).record(record)))
