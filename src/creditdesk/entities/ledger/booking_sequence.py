"""Declares `BookingSequence`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer


class BookingSequence(Entity, area="ledger", plural="bookingsequences", public=False):
    """The last booking number of a location. Its Id is that of the location, so that it is locked without a search."""

    LastNumber = Integer(nullable=False)
