"""Executes one plan of a spend."""

from __future__ import annotations

from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.draw import SpendPlan, SpendResult, execute_spends
from creditdesk.schema.errors import raise_first_error
from creditdesk.schema.repository import WriteSession


async def execute_spend(session: WriteSession, plan: SpendPlan, ledger: LedgerContext) -> SpendResult:
    """Executes one plan. Raises its DomainError."""
    (result,) = raise_first_error(await execute_spends(session, [plan], ledger))
    return result
