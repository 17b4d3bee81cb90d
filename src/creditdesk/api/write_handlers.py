"""Create, update and delete of any entity, as declarations over the write pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from creditdesk.api.computed_fields import compute_fields
from creditdesk.api.context import ApiContext
from creditdesk.api.responses import action_body
from creditdesk.api.serializer import serializer_for
from creditdesk.api.write_pipeline import ParsedT, TransactionWrite, WriteEndpoint, WriteInput
from creditdesk.auth.permission import require_role
from creditdesk.auth.scope import scope_filters
from creditdesk.schema.conversions import ParseError
from creditdesk.schema.entity import Entity, Record, Verb, entity_by_name
from creditdesk.schema.errors import (
    NotFound,
    PermissionDenied,
    ValidationError,
    invalid_field,
    missing_field,
)
from creditdesk.schema.fields import Collection, Integer
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, WriteSession
from creditdesk.schema.service import EntityService, Principal, RequestContext
from creditdesk.schema.validation import NOT_FOUND_MESSAGE, ParsedWrite, ReferenceCheck, parse_create, parse_update

OUT_OF_SCOPE_MESSAGE: Final = "The record would belong to a location that the caller may not see"


class EntityWrite(WriteEndpoint[ParsedT]):
    """A write of one entity, for callers with the role of its verb."""

    verb: Verb

    def __init__(self, entity: type[Entity]) -> None:
        self.entity = entity

    def authorize(self, principal: Principal) -> None:
        require_role(principal, self.entity, self.verb)

    def service(self, api: ApiContext) -> EntityService:
        return api.services.get(self.entity, api.default_service)


class CreateRecord(EntityWrite[ParsedWrite], TransactionWrite[ParsedWrite]):
    """POST on a collection."""

    verb = "create"

    def parse(self, write_input: WriteInput) -> ParsedWrite:
        return parse_create(self.entity, write_input.values())

    async def execute(
        self, api: ApiContext, session: WriteSession, parsed: ParsedWrite, context: RequestContext
    ) -> bytes:
        record = parsed.resolve(await find_missing_references(session, parsed.reference_checks, context))
        record_id = await self.service(api).create(session, self.entity, record, context)
        created = await _read_back(api, session, self.entity, record_id, context)
        return record_body(self.entity, created, "created")


class UpdateRecord(EntityWrite[tuple[int, ParsedWrite]], TransactionWrite[tuple[int, ParsedWrite]]):
    """PUT on a record, or on the collection with `Id` in the body."""

    verb = "update"

    def parse(self, write_input: WriteInput) -> tuple[int, ParsedWrite]:
        values = write_input.values()
        return _record_id(values, write_input.record_id), parse_update(self.entity, values)

    async def execute(
        self,
        api: ApiContext,
        session: WriteSession,
        parsed: tuple[int, ParsedWrite],
        context: RequestContext,
    ) -> bytes:
        record_id, write = parsed
        before = await _lock_record(session, self.entity, record_id, context)
        record = write.resolve(await find_missing_references(session, write.reference_checks, context), before)
        await self.service(api).update(session, self.entity, before, record, context)
        await _require_visible_removals(session, self.entity, before, record, context)
        updated = await _read_back(api, session, self.entity, record_id, context)
        return record_body(self.entity, updated, "updated")


class DeleteRecord(EntityWrite[int], TransactionWrite[int]):
    """DELETE on a record; its Id is the response's Value."""

    verb = "delete"

    def parse(self, write_input: WriteInput) -> int:
        return write_input.record_id

    async def execute(self, api: ApiContext, session: WriteSession, parsed: int, context: RequestContext) -> bytes:
        await delete_record(api, session, self.entity, parsed, context)
        now = context.now.replace(microsecond=0)
        return action_body(_message(self.entity, "deleted"), parsed, now, context.principal.email)


async def delete_record(
    api: ApiContext, session: WriteSession, entity: type[Entity], record_id: int, context: RequestContext
) -> None:
    """Deletes a record that the caller may see, by the rules of its entity. Raises NotFound, or their DomainError."""
    before = await _lock_record(session, entity, record_id, context)
    await api.services.get(entity, api.default_service).delete(session, entity, before, context)


async def find_missing_references(
    session: ReadSession, checks: Iterable[ReferenceCheck], context: RequestContext
) -> dict[str, set[int]]:
    """The referenced ids, by entity name, that do not exist or that the caller may not see.

    Counts each entity's ids in one statement, and lists them only if some are missing.
    """
    ids_by_entity: dict[str, set[int]] = {}
    for check in checks:
        ids_by_entity.setdefault(check.entity, set()).update(check.ids)
    missing: dict[str, set[int]] = {}
    for name, ids in ids_by_entity.items():
        target = entity_by_name(name)
        chosen = Filter(target.meta().columns["Id"], Comparison.ONE_OF, tuple(sorted(ids)))
        filters = (chosen, *scope_filters(context.principal, target))
        if await session.count(target, filters) < len(ids):
            found = await session.find(target, filters)
            missing[name] = ids - {record["Id"] for record in found}
    return missing


def record_body(entity: type[Entity], record: Record, done: Literal["created", "updated"]) -> bytes:
    """The body of a response that shows a written record."""
    shown = serializer_for(entity).record(record)
    return action_body(_message(entity, done), shown, record["UpdatedOn"], record["UpdatedBy"])


def _message(entity: type[Entity], done: str) -> str:
    return f"{entity.__name__} was successfully {done}."


def _record_id(values: Mapping[str, Any], path_id: int) -> int:
    raw = next((value for key, value in values.items() if key.lower() == "id"), None)
    try:
        body_id = Integer().parse(raw) if raw not in (None, "") else 0
    except ParseError as error:
        raise invalid_field("Id", str(error), raw) from None
    if path_id and body_id and path_id != body_id:
        raise invalid_field("Id", "differs from the Id in the path", raw)
    if not (path_id or body_id):
        raise ValidationError(missing_field("Id"))
    return path_id or body_id


async def _lock_record(session: WriteSession, entity: type[Entity], record_id: int, context: RequestContext) -> Record:
    await session.lock(entity, [record_id])
    record = await session.get(entity, record_id, scope_filters(context.principal, entity))
    if record is None:
        raise NotFound
    return record


async def _require_visible_removals(
    session: ReadSession, entity: type[Entity], before: Record, record: Record, context: RequestContext
) -> None:
    """Raises ValidationError if the update removes a location, or a record of a location, that the caller may not see.

    Members of other collections may be removed.
    """
    if not context.principal.is_limited:
        return
    checks = []
    for column in entity.meta().collection_columns:
        field, name = column.field, column.name
        if isinstance(field, Collection) and field.is_local and (field.inverse_of or name == entity.scope):
            members: Iterable[int] = before[name]
            removed = tuple(sorted(set(members).difference(record.get(name, members))))
            checks.append(ReferenceCheck(name, name, field.of, removed, removed))
    missing = await find_missing_references(session, checks, context)
    for check in checks:
        if hidden := missing.get(check.entity, set()).intersection(check.ids):
            raise invalid_field(check.name, NOT_FOUND_MESSAGE, min(hidden))


async def _read_back(
    api: ApiContext, session: WriteSession, entity: type[Entity], record_id: int, context: RequestContext
) -> Record:
    """The written record. Raises PermissionDenied when it is outside the caller's locations."""
    record = await session.get(entity, record_id, scope_filters(context.principal, entity))
    if record is None:
        raise PermissionDenied(OUT_OF_SCOPE_MESSAGE)
    await compute_fields(api, session, entity, [record], context)
    return record
