"""Step 25: every booking has a number, counted per location."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, existing_columns

_LOCATED: Final = "booking AS b JOIN resource AS r ON r.id = b.resource_id WHERE r.business_id IS NOT NULL"
_NUMBER: Final = f"""UPDATE booking SET booking_number = numbered.number FROM (
  SELECT unnumbered.id,
    coalesce(highest.number, 0)
      + row_number() OVER (PARTITION BY unnumbered.business_id ORDER BY unnumbered.id) AS number
  FROM (SELECT b.id, r.business_id FROM {_LOCATED} AND b.booking_number IS NULL) AS unnumbered
  LEFT JOIN (SELECT r.business_id, max(b.booking_number) AS number FROM {_LOCATED} GROUP BY r.business_id) AS highest
    ON highest.business_id = unnumbered.business_id
) AS numbered WHERE booking.id = numbered.id"""


async def _number_bookings(execute: Execute, dialect: Dialect) -> None:
    if "booking_number" in (await existing_columns(execute, dialect)).get("booking", ()):
        await execute(_NUMBER, ())


MIGRATIONS = (
    Migration(
        25,
        "booking numbers",
        "Numbers the bookings that have no number, by location and in order of Id.",
        _number_bookings,
    ),
)
