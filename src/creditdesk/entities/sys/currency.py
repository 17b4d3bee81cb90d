"""Declares `Currency`, served at `/api/sys/currencies`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text


class Currency(Entity, area="sys", plural="currencies", verbs=("list", "get"), order="Name", label="Name"):
    """A currency that locations charge in."""

    Name = Text(read_only=True, nullable=False)
    Code = Text(read_only=True, nullable=False, exact=True)
    Format = Text(read_only=True, nullable=False)
