"""Declares `RateLimitWindow`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Text


class RateLimitWindow(Entity, public=False, unique=(("UserId", "LimitName"),)):
    """How many requests of one user the workers have taken of one limit, until `EndsOn`."""

    UserId = Integer(nullable=False)
    LimitName = Text(exact=True, nullable=False)
    EndsOn = DateTime(nullable=False)
    Used = Integer(nullable=False)
