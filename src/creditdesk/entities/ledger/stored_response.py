"""Declares `StoredAnswer`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Object, Text


class StoredResponse(
    Entity, area="ledger", plural="answers", public=False, unique=(("KeyNumber", "UserId", "Key"),)
):
    """What a call with an idempotency key was answered, to be said again (rule 32).

    `Key` is the digest of what the caller sent, which tells case apart as comparing texts does
    not; `KeyNumber` is its beginning, by which many are found at once.
    """

    UserId = Integer(nullable=False)
    Key = Text(exact=True, nullable=False)
    KeyNumber = Integer(nullable=False)
    Fingerprint = Text(exact=True, nullable=False)
    Status = Integer(nullable=False)
    Body = Object()
