"""What an update of a rate means for the credits that count in its units (rules 5, 33)."""

from __future__ import annotations

from typing import Final

from creditdesk.ledger.loaders.credits import has_credits_on_rate
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import EntityService, RequestContext

_UNIT_FIELDS: Final = ("IsPrintingCredit", "ChargePeriod")
"""What decides the kind and unit of the credits on a rate."""


class RateService:
    """Rates as `default_service` writes them; the unit of existing credits never changes."""

    def __init__(self, default_service: EntityService) -> None:
        self.default_service = default_service

    async def create(
        self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext
    ) -> int:
        return await self.default_service.create(session, entity, record, context)

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        changed = [
            name for name in _UNIT_FIELDS if (record.get(name, before[name]) or 0) != before[name]
        ]
        if changed and await has_credits_on_rate(session, before["Id"]):
            raise invalid_field(
                changed[0],
                "cannot be changed while the rate has credits: they count in its units",
                record[changed[0]],
            )
        await self.default_service.update(session, entity, before, record, context)

    async def delete(
        self, session: WriteSession, entity: type[Entity], before: Record, context: RequestContext
    ) -> None:
        await self.default_service.delete(session, entity, before, context)
