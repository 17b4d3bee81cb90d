"""Declares `JobState`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, DateTime, Text


class JobState(Entity, area="ledger", plural="jobstates", public=False, unique=(("Name",),)):
    """When a scheduled job last ran, and how that ended.

    `Succeeded` is null while it runs, and stays null if its process was killed. `SucceededOn` is when the last
    successful run ended. A run that was requested after `StartedOn` is due.
    """

    Name = Text(exact=True, nullable=False)
    StartedOn = DateTime(nullable=False)
    EndedOn = DateTime()
    Succeeded = Boolean()
    SucceededOn = DateTime()
    Result = Text(nullable=False)
    RequestedOn = DateTime()
