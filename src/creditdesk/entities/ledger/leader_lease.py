"""Declares `LeaderLease`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Text


class LeaderLease(Entity, area="ledger", plural="leaderleases", public=False, unique=(("Name",),)):
    """Which process may do some work until when; another takes over once `Until` has passed."""

    Name = Text(exact=True, nullable=False)
    Holder = Text(exact=True, nullable=False)
    Until = DateTime(nullable=False)
