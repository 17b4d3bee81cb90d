"""Declares `CreditState`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, DateTime, Integer, Money, Text


class AccountState(Entity, area="ledger", plural="states", public=False):
    """Where a credit's journal ends, and what the wire has no field for.

    Its Id is made from the credit's (`ledger.records.state_id`), so it is found without an index;
    it is read and written only while the credit itself is locked.
    """

    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False)
    Sequence = Integer(nullable=False)
    Digest = Text(exact=True, nullable=False)
    Held = Money(nullable=False)
    LastRecordedOn = DateTime()
    Priority = Integer(nullable=False, default=50)
    Paid = Boolean(nullable=False)
    ExpirySwept = DateTime()
    GrantedFrom = Integer()
    TimesRolled = Integer(nullable=False)
