"""The reading endpoints of every entity: list, batch, one.

Scope is a filter like any other: what the caller may not see is not found and not counted. Must not
know how a caller was told from another.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.context import Parts
from creditdesk.api.envelope import list_envelope
from creditdesk.api.query_params import read_batch, read_question
from creditdesk.api.responses import JsonAnswer
from creditdesk.api.serializer import encode, renderer
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import NotFound
from creditdesk.schema.service import Call


async def list_or_batch(
    parts: Parts, entity: type[Entity], request: Request, call: Call
) -> Response:
    """A page in its envelope, or the bare array of a batch, `?id=[1,2,3]`."""
    query = request.scope["query_string"]
    ids = read_batch(query) if b"[" in query or b"%5" in query else None
    if ids is not None:
        parts.demand(call.caller, entity, "get")
        return await _batch(parts, entity, ids, call)
    parts.demand(call.caller, entity, "list")
    question = read_question(entity, query, parts.settings)
    asked = question.listing
    seen = parts.scope(call.caller, entity)
    listing = replace(asked, filters=(*asked.filters, *seen)) if seen else asked
    async with parts.store.reading() as reading:
        page = await reading.page(listing)
    body = encode(list_envelope(renderer(entity).rows(page.columns), question, page.total))
    return JsonAnswer(body)


async def _batch(parts: Parts, entity: type[Entity], ids: list[int], call: Call) -> Response:
    async with parts.store.reading() as reading:
        found = await reading.many(entity, ids, parts.scope(call.caller, entity)) if ids else {}
    show = renderer(entity).record
    return JsonAnswer(encode([show(found[i]) for i in ids if i in found]))


async def get_one(parts: Parts, entity: type[Entity], record_id: int, call: Call) -> Response:
    """The whole record, collections included."""
    parts.demand(call.caller, entity, "get")
    async with parts.store.reading() as reading:
        record = await reading.get(entity, record_id, parts.scope(call.caller, entity))
    if record is None:
        raise NotFound
    return JsonAnswer(encode(renderer(entity).record(record)))
