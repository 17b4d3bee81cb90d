"""The writing endpoints of every entity: create, update, delete; one unit each, committed here.

A body becomes a draft, what it refers to is looked up in the caller's scope, and the entity's
writer does the rest. Must not know any entity's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from creditdesk.api.body import named_values, raw_body
from creditdesk.api.context import Parts
from creditdesk.api.envelope import Done, action_answer, done_message
from creditdesk.api.idempotency import Answers, fingerprint_of
from creditdesk.api.responses import JsonAnswer
from creditdesk.api.serializer import renderer
from creditdesk.schema.entity import Entity, Record, entity_named
from creditdesk.schema.errors import Invalid, NotAllowed, NotFound, invalid, required
from creditdesk.schema.fields import Integer, Unreadable
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Unit
from creditdesk.schema.service import Call, Writer
from creditdesk.schema.validation import Draft, draft_create, draft_update

OUTSIDE = "The record would belong to a location that the caller may not see"


async def create(parts: Parts, entity: type[Entity], request: Request, call: Call) -> Response:
    """POST on the collection; with an idempotency key the same call gets the same bytes."""
    parts.demand(call.caller, entity, "create")
    raw = await raw_body(request, parts.settings.body_limit_bytes)
    body = named_values(raw, request.headers.get("content-type", ""))
    fingerprint = fingerprint_of("POST", entity.path(), raw)
    draft = draft_create(entity, body)
    if entity in parts.spends:
        return await _spend(parts, draft, call, fingerprint)
    async with parts.store.writing() as unit:
        answers = Answers(parts.answers) if parts.answers else None
        earlier = await answers.earlier(unit, call, fingerprint) if answers else None
        if earlier is not None:
            return earlier
        record = draft.settled(await missing_of(parts, unit, draft, call))
        record_id = await writer_of(parts, entity).create(unit, entity, record, call)
        made = await _seen(parts, unit, entity, record_id, call)
        answer = _done(entity, made, "created")
        if answers:
            await answers.keep(unit, call, fingerprint, 200, answer)
    return JsonAnswer(answer)


async def _spend(parts: Parts, draft: Draft, call: Call, fingerprint: str) -> Response:
    """Hands the use to those who spend. They look up what it refers to, so that a use that
    succeeds is looked at once; only a refused one is asked again for all that is missing.
    """
    entity = draft.entity
    record = draft.settled({}) if not draft.errors else await _settled_now(parts, draft, call)
    try:
        status, answer = await parts.spends[entity].post(
            entity, record, call, fingerprint, lambda made: _done(entity, made, "created")
        )
    except Invalid:
        await _settled_now(parts, draft, call)
        raise
    return JsonAnswer(answer, status)


async def _settled_now(parts: Parts, draft: Draft, call: Call) -> Record:
    async with parts.store.reading() as reading:
        return draft.settled(await missing_of(parts, reading, draft, call))


async def update(
    parts: Parts, entity: type[Entity], request: Request, call: Call, path_id: int | None
) -> Response:
    """PUT on the collection with `Id` in the body, or on the record."""
    parts.demand(call.caller, entity, "update")
    raw = await raw_body(request, parts.settings.body_limit_bytes)
    body = named_values(raw, request.headers.get("content-type", ""))
    record_id = _id_of(body, path_id)
    draft = draft_update(entity, body)
    async with parts.store.writing() as unit:
        before = await _locked(parts, unit, entity, record_id, call)
        record = draft.settled(await missing_of(parts, unit, draft, call), before)
        await writer_of(parts, entity).update(unit, entity, before, record, call)
        made = await _seen(parts, unit, entity, record_id, call)
    return JsonAnswer(_done(entity, made, "updated"))


async def delete(parts: Parts, entity: type[Entity], record_id: int, call: Call) -> Response:
    """DELETE on the record; its Id is the answer's Value."""
    parts.demand(call.caller, entity, "delete")
    async with parts.store.writing() as unit:
        before = await _locked(parts, unit, entity, record_id, call)
        await writer_of(parts, entity).delete(unit, entity, before, call)
    message = done_message(entity.__name__, "deleted")
    now = call.now.replace(microsecond=0)
    return JsonAnswer(action_answer(message, record_id, now, call.caller.email))


def writer_of(parts: Parts, entity: type[Entity]) -> Writer:
    return parts.writers.get(entity, parts.plain)


async def missing_of(
    parts: Parts, reading: Reading, draft: Draft, call: Call
) -> dict[str, set[int]]:
    """Which records a draft refers to do not exist for the caller: one count per entity, and one
    more look only where the count falls short.
    """
    wanted: dict[str, set[int]] = {}
    for want in draft.wanted:
        wanted.setdefault(want.entity, set()).update(want.ids)
    missing: dict[str, set[int]] = {}
    for name, ids in wanted.items():
        target = entity_named(name)
        chosen = Filter(target.shape().columns["Id"], Test.ONE_OF, tuple(sorted(ids)))
        filters = (chosen, *parts.scope(call.caller, target))
        if await reading.count(target, filters) < len(ids):
            found = await reading.find(target, filters)
            missing[name] = ids - {record["Id"] for record in found}
    return missing


def _done(entity: type[Entity], record: Record, done: Done) -> bytes:
    message = done_message(entity.__name__, done)
    shown = renderer(entity).record(record)
    return action_answer(message, shown, record["UpdatedOn"], record["UpdatedBy"])


def _id_of(body: Mapping[str, Any], path_id: int | None) -> int:
    raw = next((value for key, value in body.items() if key.lower() == "id"), None)
    try:
        told = Integer().read(raw) if raw not in (None, "") else 0
    except Unreadable as unreadable:
        raise invalid("Id", str(unreadable), raw) from None
    if path_id and told and path_id != told:
        raise invalid("Id", "differs from the Id in the path", raw)
    record_id = path_id or told
    if not record_id:
        raise Invalid(required("Id"))
    return record_id


async def _locked(
    parts: Parts, unit: Unit, entity: type[Entity], record_id: int, call: Call
) -> Record:
    await unit.lock(entity, [record_id])
    before = await unit.get(entity, record_id, parts.scope(call.caller, entity))
    if before is None:
        raise NotFound
    return before


async def _seen(
    parts: Parts, unit: Unit, entity: type[Entity], record_id: int, call: Call
) -> Record:
    """The record as the caller sees it; a write may not put it where the caller sees nothing."""
    made = await unit.get(entity, record_id, parts.scope(call.caller, entity))
    if made is None:
        raise NotAllowed(OUTSIDE)
    return made
