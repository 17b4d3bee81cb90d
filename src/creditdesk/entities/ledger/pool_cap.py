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
    """The most that each member may draw in a period from what its team shares (rule 16).

    It holds over all shared credit of the kind; of several caps the lowest counts. Periods are those
    of the calendar, by the clock of the team's location. Money has four decimals, and each currency
    counts for itself; of time and printing credit whole uses count.
    """

    Team = Reference(to="Team", required=True, embeds=("Name", "Business.Id"))
    CreditKind = Enum(of=PoolCreditType, required=True)
    Period = Enum(of=PoolCapPeriod, required=True)
    Amount = Money(required=True, allow_negative=False)
