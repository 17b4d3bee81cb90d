"""The service of entities without rules of their own: sets the base fields and stores."""

from __future__ import annotations

from typing import Any, Final

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.query import where
from creditdesk.schema.records import new_record, update_stamp
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

TAKEN_MESSAGE: Final = "is already used by another record"


class DefaultService:
    """Creates, updates and deletes records. Implements `EntityService`."""

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        values = _stored_values(entity, record)
        await _require_unique(session, entity, values)
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


async def _require_unique(session: WriteSession, entity: type[Entity], values: Record) -> None:
    """Raises ValidationError if a stored record has the same values in a unique group of columns.

    Updates never change such fields. A concurrent insert of the same values fails in the database as a conflict, which
    is retried and then found here.
    """
    for group in entity.unique:
        same = {name: values.get(name) for name in group}
        if None in same.values():
            continue
        if await session.count(entity, where(entity, **same)):
            raise invalid_field(group[0], TAKEN_MESSAGE, same[group[0]])


def _stored_values(entity: type[Entity], record: Record) -> dict[str, Any]:
    columns = entity.meta().columns
    return {name: value for name, value in record.items() if not columns[name].field.write_only}
