"""Declares `Hold`, served at `/api/ledger/holds`."""

from __future__ import annotations

from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE, SPEND_ROLE
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Money, Reference, Text


class Hold(
    Entity,
    area="ledger",
    plural="holds",
    verbs=("list", "get"),
    scope="BusinessId",
    owner="CoworkerId",
    roles={
        "list": READ_ROLE,
        "get": READ_ROLE,
        "create": SPEND_ROLE,
        "update": CORRECT_ROLE,
        "delete": CORRECT_ROLE,
    },
):
    """An amount of a credit that is reserved for a source (rule 26).

    `State` is `held`, `confirmed` or `released`. Holds made together share `Group`, the Id of the first.
    `AllocationId` is the decision on its source. `Coworker` is the customer of the source, who may not own the
    credit. `Amount` is in ten-thousandths or whole uses.
    """

    Business = Reference("Business", required=True)
    Coworker = Reference("Coworker", embeds=("FullName",))
    Group = Integer(nullable=False, indexed=True)
    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False, indexed=True)
    Amount = Money(nullable=False)
    Covered = Money(nullable=False)
    SourceKind = Text(exact=True, nullable=False)
    SourceId = Integer(nullable=False, indexed=True)
    Until = DateTime(indexed=True)
    State = Text(exact=True, nullable=False)
    AllocationId = Integer()
