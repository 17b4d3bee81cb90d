"""Declares `SigningKey`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text


class SigningKey(Entity, public=False, unique=(("Name",),)):
    """The secret that signs access tokens where the settings name none.

    Made once, by whichever worker is first, and shared by all.
    """

    Name = Text(required=True, exact=True)
    Secret = Text(required=True)
