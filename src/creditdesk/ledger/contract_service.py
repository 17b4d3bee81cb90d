"""Contracts as the API writes them; their flags are derived from their dates (rule 27)."""

from __future__ import annotations

from typing import Any

from creditdesk.ledger.loaders.contracts import ContractEndRow, load_main_contracts
from creditdesk.ledger.loaders.rows import to_row
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import ForwardingService, RequestContext


class ContractService(ForwardingService):
    """Contracts as `default_service` writes them, with the flags that follow from their dates.

    A customer's first contract is its main contract.
    """

    async def create(self, session: WriteSession, entity: type[Entity], record: Record, context: RequestContext) -> int:
        customer_id: int = record.get("CoworkerId") or 0
        is_main = not await load_main_contracts(session, customer_id, context.now)
        ends = record.get("CancellationDate")
        flags = {
            "Active": ends is None or ends > context.now,
            "Cancelled": ends is not None,
            "MainContract": is_main,
        }
        return await super().create(session, entity, {**record, **flags}, context)

    async def update(
        self,
        session: WriteSession,
        entity: type[Entity],
        before: Record,
        record: Record,
        context: RequestContext,
    ) -> None:
        stored = to_row(ContractEndRow, before)
        ends = record.get("CancellationDate", stored.cancellation_date)
        flags: dict[str, Any] = {}
        if ends != stored.cancellation_date:
            flags = {"Active": ends is None or ends > context.now, "Cancelled": ends is not None}
        await super().update(session, entity, before, {**record, **flags}, context)
