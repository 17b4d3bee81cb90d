"""The service of entities without rules of their own: sets the base fields and stores."""

from __future__ import annotations

from typing import Any

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


class DefaultService:
    """Creates, updates and deletes records. Implements `EntityService`."""

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        values = _stored_values(entity, record)
        new = new_record(entity, values, context.now, context.principal.email)
        [record_id] = await session.insert(entity, [new])
        return record_id

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        stamp = update_stamp(context.now, context.principal.email)
        await session.update(entity, [(before["Id"], _stored_values(entity, record) | stamp)])

    async def delete(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        context: RequestContext,  # noqa: ARG002 - the signature of EntityService
    ) -> None:
        await session.delete(entity, [before["Id"]])


def _stored_values(entity: type[Entity], record: Record) -> dict[str, Any]:
    columns = entity.meta().columns
    return {name: value for name, value in record.items() if not columns[name].field.write_only}
