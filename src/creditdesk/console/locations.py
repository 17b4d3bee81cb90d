"""The locations that a user sees, with name, currency and clock; cached for a short time by session."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError, InProcessClient
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.simple_time_zone import SimpleTimeZone
from creditdesk.schema.entity import Entity
from creditdesk.schema.time_zones import find_time_zone

_LIFETIME: Final = timedelta(seconds=30)
_MAX_SESSIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class Location:
    """One location; `zone` is UTC where none was ever given."""

    id: int
    name: str
    currency: str
    zone: tzinfo


@dataclass(slots=True)
class LocationCache:
    """The locations of each session, read again after half a minute."""

    _by_token: OrderedDict[str, tuple[datetime, dict[int, Location]]] = field(default_factory=OrderedDict)

    async def load(self, client: InProcessClient, now: datetime) -> dict[int, Location]:
        """The visible locations by id, in order of name; none for a user who may not list them."""
        token = client.token or ""
        read_at, found = self._by_token.get(token, (None, {}))
        if read_at is not None and timedelta(0) <= now - read_at < _LIFETIME:
            return found
        found = await _load(client)
        self._by_token[token] = (now, found)
        while len(self._by_token) > _MAX_SESSIONS:
            self._by_token.popitem(last=False)
        return found


async def _load(client: InProcessClient) -> dict[int, Location]:
    try:
        listed = await client.find(Business.path(), {"size": MAX_PAGE_RECORDS, "orderby": "Name"})
    except ApiError:
        return {}
    profiles = await _records(client, LocationProfile)
    zones = {zone["Id"]: zone["NameIana"] or zone["Name"] for zone in await _records(client, SimpleTimeZone)}
    own = {profile["BusinessId"]: profile["TimeZone"] for profile in profiles}
    return {
        record["Id"]: _location(record, own.get(record["Id"]) or zones.get(record["SimpleTimeZoneId"]))
        for record in listed.records
    }


async def _records(client: InProcessClient, entity: type[Entity]) -> list[dict[str, Any]]:
    """All records of a small entity; none for a user who may not list them."""
    try:
        return (await client.find(entity.path(), {"size": MAX_PAGE_RECORDS})).records
    except ApiError:
        return []


def _location(record: dict[str, Any], zone_name: str | None) -> Location:
    name, currency = record["Name"] or f"#{record['Id']}", record["CurrencyCode"] or ""
    known = find_time_zone(zone_name or "")
    return Location(record["Id"], name, currency, ZoneInfo(known) if known else UTC)
