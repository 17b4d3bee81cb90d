"""Declares `GrantKey`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Text


class BenefitGrant(Entity, area="ledger", plural="grantkeys", public=False, unique=(("Key",),)):
    """That a renewal was granted: contract, benefit and period start, once for ever (rule 27)."""

    Key = Text(exact=True, nullable=False)
    ContractId = Integer(nullable=False, indexed=True)
    Benefit = Text(exact=True, nullable=False)
    PeriodStart = DateTime(nullable=False)
    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False)
