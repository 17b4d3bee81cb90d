"""The writer of entities without rules of their own: stamps the base fields and stores.

Must not know requests; entities with rules get writers of their own in the composition root.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import Unit
from creditdesk.schema.service import Call


class PlainWriter:
    """Creates, updates and deletes as asked. Implements the promise `Writer`."""

    async def create(self, unit: Unit, entity: type[Entity], record: Record, call: Call) -> int:
        now = call.now.replace(microsecond=0)
        stamped = {**_kept(entity, record), "UniqueId": str(uuid4()), "CreatedOn": now}
        [record_id] = await unit.insert(entity, [stamped | _touched(call)])
        return record_id

    async def update(
        self, unit: Unit, entity: type[Entity], before: Record, record: Record, call: Call
    ) -> None:
        await unit.update(entity, [(before["Id"], _kept(entity, record) | _touched(call))])

    async def delete(
        self,
        unit: Unit,
        entity: type[Entity],
        before: Record,
        call: Call,  # noqa: ARG002 - part of the promise
    ) -> None:
        await unit.delete(entity, [before["Id"]])


def _kept(entity: type[Entity], record: Record) -> dict[str, Any]:
    columns = entity.shape().columns
    return {name: value for name, value in record.items() if not columns[name].kind.write_only}


def _touched(call: Call) -> dict[str, Any]:
    return {"UpdatedOn": call.now.replace(microsecond=0), "UpdatedBy": call.caller.email}
