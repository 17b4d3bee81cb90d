"""Time zone, booking interval and currency of locations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from creditdesk.entities.ledger.location_profile import LocationProfile
from creditdesk.entities.sys.business import Business
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id, find_rows
from creditdesk.ledger.rules.units import DEFAULT_INTERVAL_MINUTES
from creditdesk.schema.repository import Finder

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class LocationClock:
    """The time zone and booking interval by which a location counts units (rule 20)."""

    zone: ZoneInfo = _UTC
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES


DEFAULT_CLOCK: Final = LocationClock()
"""For locations without a profile: UTC and 15 minutes."""


class _ProfileRow(TypedRow, frozen=True, gc=False):
    entity = LocationProfile

    business_id: int
    time_zone: str
    booking_interval_minutes: int


class _BusinessRow(TypedRow, frozen=True, gc=False):
    entity = Business

    currency_code: str | None


async def load_location_clocks(finder: Finder, business_ids: Iterable[int | None]) -> dict[int, LocationClock]:
    """The clocks of the locations that have a profile; `DEFAULT_CLOCK` holds for the others."""
    wanted = {business_id for business_id in business_ids if business_id}
    if not wanted:
        return {}
    return {
        profile.business_id: LocationClock(_zone(profile.time_zone), profile.booking_interval_minutes)
        for profile in await find_rows(finder, _ProfileRow, BusinessId=wanted)
    }


async def load_currencies(finder: Finder, business_ids: Iterable[int]) -> dict[int, str]:
    """The currency code of each location, blank where it has none."""
    found = await find_by_id(finder, _BusinessRow, business_ids)
    return {business_id: row.currency_code or "" for business_id, row in found.items()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return _UTC
