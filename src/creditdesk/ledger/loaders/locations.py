"""Time zone, booking interval and currency of locations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.simple_time_zone import SimpleTimeZone
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id, find_rows
from creditdesk.ledger.rules.units import DEFAULT_INTERVAL_MINUTES
from creditdesk.schema.repository import Finder
from creditdesk.schema.time_zones import find_time_zone

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class LocationClock:
    """The time zone and booking interval by which a location counts units (rule 20)."""

    zone: ZoneInfo = _UTC
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES


DEFAULT_CLOCK: Final = LocationClock()
"""For locations that were given neither: UTC and 15 minutes."""


class _ProfileRow(TypedRow, frozen=True, gc=False):
    entity = LocationProfile

    business_id: int
    time_zone: str | None
    booking_interval_minutes: int | None


class _BusinessRow(TypedRow, frozen=True, gc=False):
    entity = Business

    currency_code: str | None


class _BusinessZoneRow(TypedRow, frozen=True, gc=False):
    entity = Business

    simple_time_zone_id: int | None


class _ZoneRow(TypedRow, frozen=True, gc=False):
    entity = SimpleTimeZone

    name: str
    name_iana: str | None


async def load_location_clocks(finder: Finder, business_ids: Iterable[int | None]) -> dict[int, LocationClock]:
    """The clocks of the locations that were given one; `DEFAULT_CLOCK` holds for the others.

    A profile's time zone counts before that of the location's own record.
    """
    wanted = {business_id for business_id in business_ids if business_id}
    if not wanted:
        return {}
    profiles = {row.business_id: row for row in await find_rows(finder, _ProfileRow, BusinessId=wanted)}
    zones = {business_id: row.time_zone for business_id, row in profiles.items() if row.time_zone}
    zones |= await _load_record_zones(finder, wanted - zones.keys())
    intervals = {
        business_id: row.booking_interval_minutes
        for business_id, row in profiles.items()
        if row.booking_interval_minutes
    }
    return {
        business_id: LocationClock(
            _zone(zones.get(business_id, "UTC")), intervals.get(business_id, DEFAULT_INTERVAL_MINUTES)
        )
        for business_id in zones.keys() | intervals.keys()
    }


async def _load_record_zones(finder: Finder, business_ids: Collection[int]) -> dict[int, str]:
    """The IANA zone of each location's own record; locations without a known one are left out."""
    locations = await find_by_id(finder, _BusinessZoneRow, business_ids)
    found = await find_by_id(finder, _ZoneRow, [row.simple_time_zone_id for row in locations.values()])
    zones = {zone_id: zone.name_iana or find_time_zone(zone.name) for zone_id, zone in found.items()}
    named = {business_id: zones.get(row.simple_time_zone_id or 0) for business_id, row in locations.items()}
    return {business_id: zone for business_id, zone in named.items() if zone}


async def load_currencies(finder: Finder, business_ids: Iterable[int]) -> dict[int, str]:
    """The currency code of each location, blank where it has none."""
    found = await find_by_id(finder, _BusinessRow, business_ids)
    return {business_id: row.currency_code or "" for business_id, row in found.items()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return _UTC
