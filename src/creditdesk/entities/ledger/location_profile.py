"""Declares `LocationProfile`, served at `/api/ledger/locationprofiles`."""

from __future__ import annotations

from creditdesk.entities.roles import CORRECT_ROLE, READ_ROLE
from creditdesk.schema.entity import EVERY_MEMBER, Entity
from creditdesk.schema.fields import Integer, Reference, Text
from creditdesk.schema.time_zones import parse_time_zone


class LocationProfile(
    Entity,
    area="ledger",
    plural="locationprofiles",
    scope="BusinessId",
    owner=EVERY_MEMBER,
    unique=(("BusinessId",),),
    roles={
        "list": READ_ROLE,
        "get": READ_ROLE,
        "create": CORRECT_ROLE,
        "update": CORRECT_ROLE,
        "delete": CORRECT_ROLE,
    },
):
    """The clock by which a location counts uses, periods and caps (rule 20).

    If `TimeZone` is null, the location's `SimpleTimeZone` applies, else UTC. `BookingIntervalMinutes` is 15 if null.
    """

    Business = Reference("Business", required=True, immutable=True, embeds=("Name",))
    TimeZone = Text(exact=True, normalize=parse_time_zone)
    BookingIntervalMinutes = Integer(minimum=1, maximum=24 * 60)
