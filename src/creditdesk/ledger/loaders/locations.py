"""Time zone, booking interval and currency of locations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.simple_time_zone import SimpleTimeZone
from creditdesk.ledger.loaders.dataloader import gather_loads
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
"""The clock of locations without settings: UTC and 15 minutes."""


class _ProfileRow(TypedRow, frozen=True, gc=False):
    entity = LocationProfile

    business_id: int
    time_zone: str | None
    booking_interval_minutes: int | None


class _BusinessRow(TypedRow, frozen=True, gc=False):
    entity = Business

    currency_code: str | None
    simple_time_zone_id: int | None


class _ZoneRow(TypedRow, frozen=True, gc=False):
    entity = SimpleTimeZone

    name: str
    name_iana: str | None


async def load_location_clocks(finder: Finder, business_ids: Iterable[int | None]) -> dict[int, LocationClock]:
    """The clocks of the locations that have one; `DEFAULT_CLOCK` applies to the others.

    A profile's time zone takes precedence over that of the location's own record.
    """
    clocks, _ = await load_clocks_and_currencies(finder, {each for each in business_ids if each})
    return clocks


async def load_clocks_and_currencies(
    finder: Finder, business_ids: Collection[int]
) -> tuple[dict[int, LocationClock], dict[int, str]]:
    """The clocks as `load_location_clocks` returns them, and the currency code of each location."""
    if not business_ids:
        return {}, {}
    profiles, records = await gather_loads(
        finder,
        lambda finder: find_rows(finder, _ProfileRow, BusinessId=set(business_ids)),
        lambda finder: find_by_id(finder, _BusinessRow, business_ids),
    )
    zones = {profile.business_id: profile.time_zone for profile in profiles if profile.time_zone}
    zones |= await _load_record_zones(finder, [row for row in records.values() if row.id not in zones])
    intervals = {
        profile.business_id: profile.booking_interval_minutes
        for profile in profiles
        if profile.booking_interval_minutes
    }
    clocks = {
        business_id: LocationClock(
            _zone(zones.get(business_id, "UTC")), intervals.get(business_id, DEFAULT_INTERVAL_MINUTES)
        )
        for business_id in zones.keys() | intervals.keys()
    }
    return clocks, {business_id: row.currency_code or "" for business_id, row in records.items()}


async def _load_record_zones(finder: Finder, locations: Collection[_BusinessRow]) -> dict[int, str]:
    """The IANA zone of each location's own record; locations without a known one are left out."""
    zone_ids = {location.simple_time_zone_id for location in locations if location.simple_time_zone_id}
    if not zone_ids:
        return {}
    found = await find_by_id(finder, _ZoneRow, zone_ids)
    zones = {zone_id: zone.name_iana or find_time_zone(zone.name) for zone_id, zone in found.items()}
    named = {location.id: zones.get(location.simple_time_zone_id or 0) for location in locations}
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
