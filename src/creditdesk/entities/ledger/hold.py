"""Declares `Hold`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Money, Reference, Text


class Hold(Entity, area="ledger", plural="holds", public=False, scope="BusinessId"):
    """An amount of one credit that is reserved for a source (rule 26).

    `State` is `held`, `confirmed` or `released`; holds made together share a `Group`, the Id of
    the first of them. `Coworker` is whose source it is, which may not be whose credit it is.
    `Amount` has four decimals, uses are whole.
    """

    Business = Reference(to="Business", required=True)
    Coworker = Reference(to="Coworker")
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
