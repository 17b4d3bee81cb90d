"""Conversions of values for which a driver has no type: datetimes, objects, custom fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from creditdesk.schema.conversions import fold_case

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
MAX_CACHED_DATETIMES: Final = 16_384
"""The cache is emptied when it holds this many."""


def to_microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970, exact for every year of the calendar."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The UTC datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=count)


class DateTimeCache(dict[int, datetime]):
    """Datetimes by their microseconds since 1970, converted on first use."""

    def __missing__(self, count: int) -> datetime:
        if len(self) >= MAX_CACHED_DATETIMES:
            self.clear()
        instant = self[count] = from_microseconds(count)
        return instant


def encode_object(value: Any) -> str:
    """Canonical JSON: equal values have equal texts."""
    return msgspec.json.encode(value, order="deterministic").decode()


def decode_object(text: str) -> Any:
    """The value of an `encode_object` text."""
    return msgspec.json.decode(text)


def with_utc(instant: datetime) -> datetime:
    """A datetime of PostgreSQL's driver, with its time zone."""
    # The driver maps the first and last datetime to infinities and drops their time zone.
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def casefold_custom_fields(fields: Any) -> str | None:
    """Custom fields as filters read them: casefolded names and values."""
    entries = fields.get("Data") if isinstance(fields, Mapping) else None
    if not isinstance(entries, list):
        return None
    return encode_object({"Data": [
        {"Name": fold_case(str(entry.get("Name"))), "Value": _casefold_value(entry.get("Value"))}
        for entry in entries if isinstance(entry, Mapping)
    ]})  # fmt: skip


def _casefold_value(value: Any) -> str | None:
    if value is None:
        return None
    return fold_case(value if isinstance(value, str) else encode_object(value))
