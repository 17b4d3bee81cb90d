"""Declares `ResourceType`, served at `/api/spaces/resourcetypes`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Reference, Text


class ResourceType(Entity, area="spaces", plural="resourcetypes", label="Name", scope="BusinessId"):
    """A type of resource; rates and credits may be limited to some."""

    Business = Reference("Business", required=True)
    Name = Text(required=True)
