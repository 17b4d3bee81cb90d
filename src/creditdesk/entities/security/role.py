"""Declares `Role`, served at `/api/security/roles`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Collection, Text


class Role(Entity, area="security", plural="roles", verbs=("list", "get"), label="Name", cached_fields=("Name",)):
    """A permission: one verb on one entity. The server creates them."""

    Name = Text(read_only=True, nullable=False)
    UserRoles = Collection("UserRole", read_only=True, inverse_of="Roles", delta_fields=False)
