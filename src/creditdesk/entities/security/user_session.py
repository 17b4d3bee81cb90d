"""Declares `UserSession`, which the API lists at `/api/auth/sessions`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Reference, Text


class UserSession(Entity, public=False, unique=(("UniqueId",),), cached_fields=("EndedOn",)):
    """What a sign-in opens, and log-out ends: the access and refresh tokens of one client.

    Its UniqueId is the `Family` of its refresh tokens. `Method` is how the user proved who it is.
    `LastUsedOn` is the latest exchange of a refresh token. All its tokens are void from `EndedOn` on,
    and after `ExpireDate`. `DeviceHash` is the hash of the client's device secret. A session with a
    `Coworker` is limited to the records of this customer, whatever else its user may see.
    """

    User = Reference("User", required=True, indexed=True)
    Coworker = Reference("Coworker")
    ClientId = Text(required=True, exact=True)
    Method = Text(required=True, exact=True)
    Address = Text(exact=True)
    UserAgent = Text()
    DeviceHash = Text(exact=True)
    LastUsedOn = DateTime(nullable=False)
    ExpireDate = DateTime(nullable=False)
    EndedOn = DateTime()
    EndReason = Text(exact=True)
