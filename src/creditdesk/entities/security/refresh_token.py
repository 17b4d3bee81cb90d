"""Declares `RefreshToken`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, DateTime, Guid, Integer, Reference, Text


class RefreshToken(Entity, public=False, unique=(("TokenHash",),)):
    """A refresh token, stored as a hash; `Family` joins a sign-in and its rotations.

    A used token is kept until it expires, so that a replay is recognised. `ClientOptional`: the client
    proved itself with HTTP Basic, so a refresh need not name it.
    """

    User = Reference("User", required=True, indexed=True)
    TokenHash = Text(required=True, exact=True, indexed=True)
    ClientId = Text(required=True, exact=True)
    ClientOptional = Boolean(nullable=False)
    Family = Guid(required=True, indexed=True)
    Version = Integer(nullable=False)
    ExpireDate = DateTime(required=True)
    UsedOn = DateTime()
