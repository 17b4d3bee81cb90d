"""Declares `BenefitGrant`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import CoveringIndex, Entity
from creditdesk.schema.fields import DateTime, Integer, Text


class BenefitGrant(
    Entity,
    area="ledger",
    plural="benefitgrants",
    public=False,
    unique=(("Key",),),
    covering_indexes=(CoveringIndex("current", ("Benefit", "PeriodStart"), ("ContractId",)),),
):
    """A benefit that was granted for a period of a contract: once and never again (rule 27).

    The index `current` shows which contracts have their current grants, without reading those of earlier periods.
    """

    Key = Text(exact=True, nullable=False)
    ContractId = Integer(nullable=False, indexed=True)
    Benefit = Text(exact=True, nullable=False)
    PeriodStart = DateTime(nullable=False)
    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False)
