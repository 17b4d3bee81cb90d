"""Declares `PeriodClosing`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Object, Reference, Text


class PeriodClosing(Entity, area="reports", plural="closings", public=False, scope="BusinessId", append_only=True):
    """That a location's month was closed, or opened again; the newest record of a month counts.

    `Action` is `closed` or `reopened`, `Until` the end of the month on the location's clock. `Documents` holds
    the closing reports with their SHA-256, `CheckpointId` the checkpoint that covers them. The author and the
    time are those of the record.
    """

    Business = Reference("Business", required=True)
    Month = Text(exact=True, nullable=False)
    Until = DateTime(nullable=False)
    Action = Text(exact=True, nullable=False)
    Reason = Text(nullable=False)
    CheckpointId = Integer()
    Documents = Object()
