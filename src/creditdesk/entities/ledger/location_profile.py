"""Declares `LocationProfile`, which the API does not serve."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Integer, Reference, Text


class LocationProfile(Entity, area="ledger", plural="locationprofiles", public=False, unique=(("BusinessId",),)):
    """The time zone and booking interval of a location, which count uses (rule 20)."""

    Business = Reference("Business", required=True)
    TimeZone = Text(exact=True, nullable=False, default="UTC")
    BookingIntervalMinutes = Integer(nullable=False, default=15, minimum=1)
