"""Declares `AllocationDocument`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Object, Reference, Text


class AllocationDocument(Entity, area="ledger", plural="allocations", public=False, scope="BusinessId"):
    """The decision that a spend executed, as it was made (rules 19, 22).

    A spend on several sources keeps one document for each, with the same `Group`.
    """

    Business = Reference("Business", required=True)
    Coworker = Reference("Coworker", required=True)
    Group = Integer(nullable=False, indexed=True)
    SourceKind = Text(exact=True, nullable=False)
    SourceId = Integer(nullable=False, indexed=True)
    Document = Object()
