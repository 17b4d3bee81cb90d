"""Declares `LinkRequest`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Reference, Text


class LinkRequest(Entity, public=False):
    """A sign-in link that is to be sent by e-mail; it is created when it is sent, and stored nowhere.

    A member's own request has the entered e-mail, an operator's the customer. `Login` is the e-mail as sign-ins
    compare it. Sending is retried at `NextAttemptOn` until `ExpireDate`; a request without `NextAttemptOn` has ended
    with `Result`.
    """

    Login = Text(exact=True, nullable=False, indexed=True)
    Coworker = Reference("Coworker")
    Language = Text(exact=True, nullable=False)
    Minutes = Integer(nullable=False)
    RequestedBy = Text(exact=True)
    Attempts = Integer(nullable=False)
    NextAttemptOn = DateTime(indexed=True)
    ExpireDate = DateTime(nullable=False)
    Result = Text()
