"""Declares `AuditHead`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Text


class AuditHead(Entity, public=False):
    """The one row with the end of the audit trail; writers lock it in turn.

    It shows that records at the end were removed. Records up to sequence `RemovedThrough` are past their
    retention and may be deleted; None, none are.
    """

    Sequence = Integer(nullable=False)
    Digest = Text(exact=True, nullable=False)
    RemovedThrough = Integer()
