"""Declares `DailyTotal`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import DateTime, Integer, Object, Reference, Text


class DailyTotal(
    Entity,
    area="reports",
    plural="dailytotals",
    public=False,
    scope="BusinessId",
    unique=(("BusinessId", "Until"),),
):
    """What a location's credit had moved and held by the end of a local day; derived from the journal.

    `Entries` counts the location's journal entries before `Until`, and `Head` is the end of the chain over
    their digests. `Totals` has the sums of each group of credits. `Changed` lists, as JSON, the credits whose
    terms were changed on that day; null for none.
    """

    Business = Reference("Business", required=True)
    Until = DateTime(nullable=False)
    Entries = Integer(nullable=False)
    Head = Text(exact=True, nullable=False)
    Totals = Object(nullable=False)
    Changed = Text(exact=True)
