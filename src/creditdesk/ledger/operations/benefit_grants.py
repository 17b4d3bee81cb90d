"""Credit that comes from a benefit: granted once for each key (rule 27)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.corrections import NewCredit, grant
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


@dataclass(frozen=True, slots=True)
class GrantKey:
    """What a grant is for. The database accepts each `key` once."""

    key: str
    contract_id: int
    benefit: str
    period_start: datetime


async def grant_benefit(
    session: WriteSession,
    mapping: CreditTypeMapping,
    credit: NewCredit,
    grant_key: GrantKey,
    context: RequestContext,
    ledger: LedgerContext,
    *,
    cause: Cause,
    reason: str,
) -> int:
    """Grants a credit, stores the key it was granted under, and returns its id."""
    (credit_id,) = await grant(
        session,
        mapping,
        [credit],
        context,
        ledger,
        cause=cause,
        reason=reason,
    )
    values = {
        "Key": grant_key.key,
        "ContractId": grant_key.contract_id,
        "Benefit": grant_key.benefit,
        "PeriodStart": grant_key.period_start,
        "CreditKind": mapping.account_type.value,
        "CreditId": credit_id,
    }
    record = new_record(BenefitGrant, values, context.now, context.principal.email)
    await session.insert(BenefitGrant, [record])
    return credit_id
