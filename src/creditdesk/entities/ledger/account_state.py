"""Declares `AccountState`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, DateTime, Integer, Money, Text


class AccountState(Entity, area="ledger", plural="accountstates", public=False):
    """The state of a credit's account that the credit's own record has no field for.

    It holds the end of the credit's journal. Its Id derives from the credit's Id
    (`ledger.journal.mapping.state_id`); it is read and written only while the credit is locked.
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
