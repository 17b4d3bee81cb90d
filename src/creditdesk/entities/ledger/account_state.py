"""Declares `AccountState`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Money, Text


class AccountState(Entity, area="ledger", plural="accountstates", public=False):
    """The state of a credit's account that the credit's own record has no field for.

    It holds the end of the credit's journal. Its Id derives from the credit's Id
    (`ledger.journal.mapping.state_id`); it is written only while the credit is locked. `Funding`,
    `PricePaid` and `SourceDocument` say where the credit came from (rule 35).
    """

    CreditKind = Text(exact=True, nullable=False)
    CreditId = Integer(nullable=False)
    Sequence = Integer(nullable=False)
    Digest = Text(exact=True, nullable=False)
    Held = Money(nullable=False)
    LastRecordedOn = DateTime()
    Priority = Integer(nullable=False, default=50)
    Funding = Text(exact=True, nullable=False, default="unknown")
    PricePaid = Money()
    SourceDocument = Text()
    ExpirySwept = DateTime()
    GrantedFrom = Integer()
    TimesRolled = Integer(nullable=False)
