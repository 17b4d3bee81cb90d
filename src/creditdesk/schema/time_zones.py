"""Names of time zones: IANA, or those of Windows, which the imitated API returns."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.core import get_global

from creditdesk.schema.conversions import ParseError


def parse_time_zone(text: str) -> str:
    """The IANA name of a time zone, such as `Europe/Madrid`, for that or for Windows' name of it.

    Raises ParseError for any other text.
    """
    name = find_time_zone(text)
    if name is None:
        raise ParseError("must be a time zone such as Europe/Madrid")
    return name


def find_time_zone(text: str) -> str | None:
    """The IANA name as `parse_time_zone` returns it; None for an unknown name."""
    name = text.strip()
    if _is_iana(name):
        return name
    windows: Mapping[str, str] = get_global("windows_zone_mapping")
    return windows.get(name)


def _is_iana(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # A folder of zones, such as `Europe`, cannot be read as one.
        return False
    return True
