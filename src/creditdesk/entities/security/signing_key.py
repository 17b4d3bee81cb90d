"""Declares `SigningKey`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text


class SigningKey(Entity, public=False, unique=(("Name",),)):
    """The secret that signs access tokens where the settings have none.

    The first worker creates it; all workers share it.
    """

    Name = Text(required=True, exact=True)
    Secret = Text(required=True)
