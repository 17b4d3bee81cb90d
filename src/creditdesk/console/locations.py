"""The locations that a user sees, with name, currency and clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from creditdesk.console.api_client import MAX_PAGE_RECORDS, ApiError, InProcessClient, QueryValues
from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.simple_time_zone import SimpleTimeZone
from creditdesk.schema.entity import Entity
from creditdesk.schema.time_zones import find_time_zone


@dataclass(frozen=True, slots=True)
class Location:
    """One location; `zone` is UTC if none was set."""

    id: int
    name: str
    currency: str
    zone: tzinfo


async def visible_locations(client: InProcessClient) -> dict[int, Location]:
    """The visible locations by id, in order of name; none for a user who may not list them.

    They are read for each page, so that a new location or clock shows at once in every process: 40 take 2 ms.
    """
    listed, profiles = await asyncio.gather(
        _records(client, Business, {"size": MAX_PAGE_RECORDS, "orderby": "Name"}),
        _records(client, LocationProfile, {"size": MAX_PAGE_RECORDS}),
    )
    own = {profile["BusinessId"]: profile["TimeZone"] for profile in profiles}
    zone_ids = {record["SimpleTimeZoneId"] for record in listed if not own.get(record["Id"])} - {None}
    zones = await _zone_names(client, zone_ids) if zone_ids else {}
    return {
        record["Id"]: _location(record, own.get(record["Id"]) or zones.get(record["SimpleTimeZoneId"]))
        for record in listed
    }


async def _zone_names(client: InProcessClient, ids: set[int]) -> dict[int, str]:
    try:
        found = await client.get(SimpleTimeZone.path(), {"id": str(sorted(ids))})
    except ApiError:
        return {}
    return {zone["Id"]: zone["NameIana"] or zone["Name"] for zone in found}


async def _records(client: InProcessClient, entity: type[Entity], query: QueryValues) -> list[dict[str, Any]]:
    """The records of a small entity; none for a user who may not list them."""
    try:
        return (await client.find(entity.path(), query)).records
    except ApiError:
        return []


def _location(record: dict[str, Any], zone_name: str | None) -> Location:
    name, currency = record["Name"] or f"#{record['Id']}", record["CurrencyCode"] or ""
    known = find_time_zone(zone_name or "")
    return Location(record["Id"], name, currency, ZoneInfo(known) if known else UTC)
