"""Step 25: every booking has a number, counted per location."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import Migration, nothing

_LOCATED: Final = "booking JOIN resource AS r ON r.id = booking.resource_id WHERE r.business_id IS NOT NULL"
_HIGHEST: Final = "migration_booking_number"
_NUMBERS: Final = Backfill(
    "booking numbers",
    "booking",
    before=(
        f"DROP TABLE IF EXISTS {_HIGHEST}",
        f"CREATE TABLE {_HIGHEST} AS SELECT r.business_id, coalesce(max(booking_number), 0) AS number "
        f"FROM {_LOCATED} GROUP BY r.business_id",
    ),
    batch=(
        f"""UPDATE booking SET booking_number = numbered.number FROM (
  SELECT unnumbered.id,
    highest.number + row_number() OVER (PARTITION BY unnumbered.business_id ORDER BY unnumbered.id) AS number
  FROM (SELECT booking.id, r.business_id FROM {_LOCATED} AND booking_number IS NULL AND {{rows}}) AS unnumbered
  JOIN {_HIGHEST} AS highest ON highest.business_id = unnumbered.business_id
) AS numbered WHERE booking.id = numbered.id""",
        f"UPDATE {_HIGHEST} SET number = batch.number FROM ("
        f"SELECT r.business_id, max(booking_number) AS number FROM {_LOCATED} AND {{rows}} GROUP BY r.business_id"
        f") AS batch WHERE batch.business_id = {_HIGHEST}.business_id AND batch.number > {_HIGHEST}.number",
    ),
    after=(f"DROP TABLE IF EXISTS {_HIGHEST}",),
)


def _numbers(columns: Mapping[str, set[str]]) -> Sequence[Backfill]:
    return (_NUMBERS,) if "booking_number" in columns.get("booking", ()) else ()


MIGRATIONS = (
    Migration(
        25,
        "booking numbers",
        "Numbers the bookings that have no number, by location and in order of Id.",
        nothing,
        backfills=_numbers,
    ),
)
