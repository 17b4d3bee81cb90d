"""Declares `PoolCap`, served at `/api/ledger/poolcaps`."""

from __future__ import annotations

from creditdesk.entities.enums import PoolCapPeriod, PoolCreditType
from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Enum, Money, Reference


class PoolCap(
    Entity,
    area="ledger",
    plural="poolcaps",
    scope="TeamBusinessId",
    roles={
        "list": READ_ROLE,
        "get": READ_ROLE,
        "create": CORRECT_ROLE,
        "update": CORRECT_ROLE,
        "delete": CORRECT_ROLE,
    },
):
    """The maximum that a member may use in a period of the credit its team shares (rule 16).

    A cap covers all shared credit of the type; the lowest of several applies. Periods follow the
    calendar in the time zone of the team's location. Money is in ten-thousandths, by currency; time
    and printing credit is in whole uses.
    """

    Team = Reference("Team", required=True, embeds=("Name", "Business.Id"))
    CreditKind = Enum(PoolCreditType, required=True)
    Period = Enum(PoolCapPeriod, required=True)
    Amount = Money(required=True, allow_negative=False)
