"""Declares `StoredResponse`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Object, Text


class StoredResponse(
    Entity,
    area="ledger",
    plural="storedresponses",
    public=False,
    unique=(("KeyNumber", "UserId", "Key"),),
):
    """The response to a request with an idempotency key, for repeated requests (rule 32).

    `Key` is a digest of the key, because text compares without case and keys do not. `KeyNumber` is
    its beginning, for looking up many at once.
    """

    UserId = Integer(nullable=False)
    Key = Text(exact=True, nullable=False)
    KeyNumber = Integer(nullable=False)
    Fingerprint = Text(exact=True, nullable=False)
    Status = Integer(nullable=False)
    Body = Object()
