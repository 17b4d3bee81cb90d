"""Declares `UserRole`, served at `/api/security/userroles`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Collection, Reference, Text


class UserRole(
    Entity,
    area="security",
    plural="userroles",
    label="Name",
    scope="BusinessId",
    cached_fields=("Roles", "Users"),
):
    """A named set of roles at one location, assigned to users."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    Roles = Collection("Role")
    Users = Collection("User")
