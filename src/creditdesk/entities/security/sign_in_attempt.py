"""Declares `SignInAttempt`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text


class SignInAttempt(Entity, public=False):
    """One failed sign-in against an account or from an address; `Against` is the hash of which.

    Its instant is `CreatedOn`. Rows older than the window that is counted are removed.
    """

    Against = Text(required=True, exact=True, indexed=True)
