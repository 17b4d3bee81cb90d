"""Declares `PeriodLock`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Reference, Text


class PeriodLock(Entity, area="ledger", plural="periodlocks", public=False, append_only=True, scope="BusinessId"):
    """A closing or reopening of a location's periods; the newest one holds (rule 37).

    No line may take effect before `ClosedUntil`, which is null if nothing is closed any more. `UpdatedBy` is the user
    who closed or reopened, `CreatedOn` the time.
    """

    Business = Reference("Business", required=True)
    ClosedUntil = DateTime()
    Reason = Text(nullable=False)
