"""Updates of rates, which must not change the unit of existing credits (rules 5, 33)."""

from __future__ import annotations

from creditdesk.ledger.loaders.credits import has_credits_on_rate
from creditdesk.ledger.loaders.rates import RateUnitRow
from creditdesk.ledger.loaders.rows import to_row
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import ForwardingService, RequestContext


class RateService(ForwardingService):
    """Writes rates as `DefaultService` does, and rejects changes of the unit of existing credits."""

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        unit = to_row(RateUnitRow, before)
        changed = to_row(RateUnitRow, {**before, **record})
        kind_changes = bool(changed.is_printing_credit) != bool(unit.is_printing_credit)
        period_changes = changed.charge_period is not unit.charge_period
        if (kind_changes or period_changes) and await has_credits_on_rate(session, unit.id):
            raise invalid_field(
                "IsPrintingCredit" if kind_changes else "ChargePeriod",
                "cannot be changed while the rate has credits: they count in its units",
            )
        await super().update(session, entity, before, record, context)
