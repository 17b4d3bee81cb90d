"""Declares `SignInAttempt`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text


class SignInAttempt(Entity, public=False):
    """A failed sign-in, at `CreatedOn`; `Against` is the hash of what it counts for.

    Rows older than the counted window are deleted.
    """

    Against = Text(required=True, exact=True, indexed=True)
