"""Values for which a driver has no type of its own: instants, objects and folded custom fields.

Must not know of tables or statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from creditdesk.schema.conversions import fold_case

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
MAX_CACHED_DATETIMES: Final = 16_384
"""How many are kept before all are worked out anew."""


def to_microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970, exact for every year of the calendar."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The instant so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=count)


class DateTimeCache(dict[int, datetime]):
    """Instants by their microseconds, each worked out once while it is asked for often."""

    def __missing__(self, count: int) -> datetime:
        if len(self) >= MAX_CACHED_DATETIMES:
            self.clear()
        instant = self[count] = from_microseconds(count)
        return instant


def encode_object(value: Any) -> str:
    """JSON that is the same for equal values."""
    return msgspec.json.encode(value, order="deterministic").decode()


def decode_object(text: str) -> Any:
    """What `encode_object` was given."""
    return msgspec.json.decode(text)


def with_utc(instant: datetime) -> datetime:
    """An instant as PostgreSQL's driver gives it, with its zone."""
    # The driver keeps the calendar's first and last instant as infinities and loses their zone.
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def casefold_custom_fields(fields: Any) -> str | None:
    """Custom fields as filters read them: names and values as text without case."""
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
