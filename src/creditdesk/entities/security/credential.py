"""Declares `Credential`, which the wire does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Reference, Text


class Credential(Entity, public=False, unique=(("Login",), ("UserId",))):
    """What proves that someone is a user. Kept apart from User, so that no listing reaches it.

    `Login` is the e-mail without case; raising `Version` ends every token given before.
    `LastStep` is the newest step of 30 seconds whose one-time code was accepted.
    """

    User = Reference(to="User", required=True, indexed=True)
    Login = Text(required=True, exact=True, indexed=True)
    PasswordHash = Text()
    TotpSecret = Text()
    LastStep = Integer(nullable=False)
    Version = Integer(nullable=False)
