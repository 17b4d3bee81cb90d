"""Declares `VerificationFinding`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Text


class VerificationFinding(Entity, area="ledger", plural="verificationfindings", public=False):
    """What the last scheduled verification found; the next one replaces it.

    `Code` is one of docs/reference/findings.md, `Message` says what the finding is about and what differs.
    `CreditKind` and `CreditId` are those of a finding about a credit.
    """

    Code = Text(exact=True, nullable=False)
    Message = Text(nullable=False)
    CreditKind = Text(exact=True)
    CreditId = Integer()
