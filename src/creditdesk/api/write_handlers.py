"""The writing endpoints of every entity: create, update, delete; one unit each, committed here.

A body becomes a draft, what it refers to is looked up in the caller's scope, and the entity's
writer does the rest. Must not know any entity's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import parse_body, read_body_bytes
from creditdesk.api.context import ApiContext
from creditdesk.api.envelope import WriteKind, action_body, write_message
from creditdesk.api.idempotency import ResponseStore, request_fingerprint
from creditdesk.api.responses import JsonBytesResponse
from creditdesk.api.serializer import serializer_for
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import Entity, Record, entity_by_name
from creditdesk.schema.errors import (
    NotFound,
    PermissionDenied,
    ValidationError,
    invalid_field,
    missing_field,
)
from creditdesk.schema.fields import Integer
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import EntityService, RequestContext
from creditdesk.schema.validation import ParsedWrite, parse_create, parse_update

OUT_OF_SCOPE_MESSAGE = "The record would belong to a location that the caller may not see"


async def create(
    api: ApiContext, entity: type[Entity], request: Request, context: RequestContext
) -> Response:
    """POST on the collection; with an idempotency key the same call gets the same bytes."""
    api.require_role(context.principal, entity, "create")
    raw = await read_body_bytes(request, api.settings.body_limit_bytes)
    body = parse_body(raw, request.headers.get("content-type", ""))
    fingerprint = request_fingerprint("POST", entity.path(), raw)
    draft = parse_create(entity, body)
    if entity in api.use_posters:
        return await _post_use(api, draft, context, fingerprint)
    async with api.store.write_session() as unit:
        answers = ResponseStore(api.response_entity) if api.response_entity else None
        earlier = await answers.find(unit, context, fingerprint) if answers else None
        if earlier is not None:
            return earlier
        record = draft.resolve(await find_missing_references(api, unit, draft, context))
        record_id = await service_for(api, entity).create(unit, entity, record, context)
        made = await _read_back(api, unit, entity, record_id, context)
        answer = _serialize_result(entity, made, "created")
        if answers:
            await answers.save(unit, context, fingerprint, 200, answer)
    return JsonBytesResponse(answer)


async def _post_use(
    api: ApiContext, draft: ParsedWrite, context: RequestContext, fingerprint: str
) -> Response:
    """Hands the use to those who spend. They look up what it refers to, so that a use that
    succeeds is looked at once; only a refused one is asked again for all that is missing.
    """
    entity = draft.entity
    record = draft.resolve({}) if not draft.errors else await _resolve_now(api, draft, context)
    try:
        status, answer = await api.use_posters[entity].post(
            entity,
            record,
            context,
            fingerprint,
            lambda made: _serialize_result(entity, made, "created"),
        )
    except ValidationError:
        await _resolve_now(api, draft, context)
        raise
    return JsonBytesResponse(answer, status)


async def _resolve_now(api: ApiContext, draft: ParsedWrite, context: RequestContext) -> Record:
    async with api.store.read_session() as reading:
        return draft.resolve(await find_missing_references(api, reading, draft, context))


async def update(
    api: ApiContext,
    entity: type[Entity],
    request: Request,
    context: RequestContext,
    path_id: int | None,
) -> Response:
    """PUT on the collection with `Id` in the body, or on the record."""
    api.require_role(context.principal, entity, "update")
    raw = await read_body_bytes(request, api.settings.body_limit_bytes)
    body = parse_body(raw, request.headers.get("content-type", ""))
    record_id = _record_id(body, path_id)
    draft = parse_update(entity, body)
    async with api.store.write_session() as unit:
        before = await _lock_record(api, unit, entity, record_id, context)
        record = draft.resolve(await find_missing_references(api, unit, draft, context), before)
        await service_for(api, entity).update(unit, entity, before, record, context)
        made = await _read_back(api, unit, entity, record_id, context)
    return JsonBytesResponse(_serialize_result(entity, made, "updated"))


async def delete(
    api: ApiContext, entity: type[Entity], record_id: int, context: RequestContext
) -> Response:
    """DELETE on the record; its Id is the answer's Value."""
    api.require_role(context.principal, entity, "delete")
    async with api.store.write_session() as unit:
        before = await _lock_record(api, unit, entity, record_id, context)
        await service_for(api, entity).delete(unit, entity, before, context)
    message = write_message(entity.__name__, "deleted")
    now = context.now.replace(microsecond=0)
    return JsonBytesResponse(action_body(message, record_id, now, context.principal.email))


def service_for(api: ApiContext, entity: type[Entity]) -> EntityService:
    return api.services.get(entity, api.default_service)


async def find_missing_references(
    api: ApiContext, reading: ReadSession, draft: ParsedWrite, context: RequestContext
) -> dict[str, set[int]]:
    """Which records a draft refers to do not exist for the caller: one count per entity, and one
    more look only where the count falls short.
    """
    wanted: dict[str, set[int]] = {}
    for want in draft.reference_checks:
        wanted.setdefault(want.entity, set()).update(want.ids)
    missing: dict[str, set[int]] = {}
    for name, ids in wanted.items():
        target = entity_by_name(name)
        chosen = Filter(target.meta().columns["Id"], Comparison.ONE_OF, tuple(sorted(ids)))
        filters = (chosen, *api.scope(context.principal, target))
        if await reading.count(target, filters) < len(ids):
            found = await reading.find(target, filters)
            missing[name] = ids - {record["Id"] for record in found}
    return missing


def _serialize_result(entity: type[Entity], record: Record, done: WriteKind) -> bytes:
    message = write_message(entity.__name__, done)
    shown = serializer_for(entity).record(record)
    return action_body(message, shown, record["UpdatedOn"], record["UpdatedBy"])


def _record_id(body: Mapping[str, Any], path_id: int | None) -> int:
    raw = next((value for key, value in body.items() if key.lower() == "id"), None)
    try:
        told = Integer().parse(raw) if raw not in (None, "") else 0
    except ParseError as unreadable:
        raise invalid_field("Id", str(unreadable), raw) from None
    if path_id and told and path_id != told:
        raise invalid_field("Id", "differs from the Id in the path", raw)
    record_id = path_id or told
    if not record_id:
        raise ValidationError(missing_field("Id"))
    return record_id


async def _lock_record(
    api: ApiContext,
    session: WriteSession,
    entity: type[Entity],
    record_id: int,
    context: RequestContext,
) -> Record:
    await session.lock(entity, [record_id])
    before = await session.get(entity, record_id, api.scope(context.principal, entity))
    if before is None:
        raise NotFound
    return before


async def _read_back(
    api: ApiContext,
    session: WriteSession,
    entity: type[Entity],
    record_id: int,
    context: RequestContext,
) -> Record:
    """The record as the caller sees it; a write may not put it where the caller sees nothing."""
    made = await session.get(entity, record_id, api.scope(context.principal, entity))
    if made is None:
        raise PermissionDenied(OUT_OF_SCOPE_MESSAGE)
    return made
