"""Declares `Credential`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Reference, Text


class Credential(Entity, public=False, unique=(("Login",), ("UserId",)), cached_fields=("Version",)):
    """What a user signs in with; apart from User, so that no list shows it.

    `Login` is the e-mail in lower case. `Version` rises with every change, which voids earlier verifications.
    `LastStep` is the latest 30-second step whose one-time code was accepted.
    """

    User = Reference("User", required=True, indexed=True)
    Login = Text(required=True, exact=True, indexed=True)
    PasswordHash = Text()
    TotpSecret = Text()
    LastStep = Integer(nullable=False)
    Version = Integer(nullable=False)
