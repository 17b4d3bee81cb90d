"""Declares `SimpleTimeZone`, served at `/api/sys/simpletimezones`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Text
from creditdesk.schema.time_zones import parse_time_zone


class SimpleTimeZone(Entity, area="sys", plural="simpletimezones", verbs=("list", "get"), order="Name", label="Name"):
    """A time zone that locations and customers refer to by its id.

    `Name` is Windows' name. `NameIana` may be blank; then the name decides.
    """

    Name = Text(read_only=True, nullable=False)
    NameIana = Text(read_only=True, exact=True, normalize=parse_time_zone)
