"""A service that records each write of another service in the audit trail."""

from __future__ import annotations

from typing import Any

from creditdesk.auth.audit_trail import AuditAction, event_of_request, record_event
from creditdesk.schema.entity import COMPUTED_FIELDS, SERVER_FIELDS, Entity, Record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import ForwardingService, RequestContext


class AuditedService(ForwardingService):
    """Wraps an `EntityService`. Of secrets it records only that they were set."""

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        record_id = await super().create(session, entity, record, context)
        changes = _changes(entity, {}, record)
        await _record(session, AuditAction.CREATED, entity, record_id, changes, context)
        return record_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        await super().update(session, entity, before, record, context)
        if changes := _changes(entity, before, record):
            await _record(session, AuditAction.CHANGED, entity, before["Id"], changes, context)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        await super().delete(session, entity, before, context)
        label = entity.label
        named = {label: [before.get(label), None]} if label else {}
        await _record(session, AuditAction.DELETED, entity, before["Id"], named, context)


async def _record(
    session: WriteSession,
    action: AuditAction,
    entity: type[Entity],
    record_id: int,
    changes: dict[str, Any],
    context: RequestContext,
) -> None:
    await record_event(session, event_of_request(context, action, entity.__name__, record_id, changes), context.now)


def _changes(entity: type[Entity], before: Record, record: Record) -> dict[str, Any]:
    """`[before, after]` of each value that changes, by column name; `"set"` for a secret."""
    changes: dict[str, Any] = {}
    for column in entity.meta().columns.values():
        name = column.name
        if not column.is_own or name not in record or name in COMPUTED_FIELDS | SERVER_FIELDS:
            continue
        after = record[name]
        if column.field.write_only:
            if after:
                changes[name] = "set"
        elif (before.get(name) or None) != (after or None):
            changes[name] = [before.get(name), after]
    return changes
