"""Step 12: defaults where fields were required, and lists of delivery preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_DEFAULTS: Final = {
    "booking": {"repeats": 2},
    "calendar_event": {"repeats": 2},
    "coworker": {
        "gender": 1,
        "tax_rate_type": 1,
        "monday_attendance": 5,
        "tuesday_attendance": 5,
        "wednesday_attendance": 5,
        "thursday_attendance": 5,
        "friday_attendance": 5,
        "saturday_attendance": 5,
        "sunday_attendance": 5,
    },
    "event_product": {"display_order": 0},
    "extra_service": {"display_order": 0},
    "product": {"display_order": 0},
    "resource": {"display_order": 0},
    "tariff": {
        "display_order": 0,
        "booking_due_date_strategy": 1,
        "address_identity_check_provider": 1,
        "address_identity_check_repeat_pattern": 1,
        "identity_check_provider": 1,
        "identity_check_repeat_pattern": 1,
    },
}
_LISTS: Final = tuple(f"delivery_preferences_{kind}" for kind in ("mail", "parcels", "checks", "publicity", "other"))


def _defaults(columns: Mapping[str, set[str]]) -> Sequence[Backfill]:
    found: list[Backfill] = []
    for table, defaults in _DEFAULTS.items():
        there = {column: value for column, value in defaults.items() if column in columns.get(table, ())}
        if there:
            values = ", ".join(f"{column} = coalesce({column}, {value})" for column, value in there.items())
            missing = " OR ".join(f"{column} IS NULL" for column in there)
            update = f"UPDATE {table} SET {values} WHERE {{rows}} AND ({missing})"
            found.append(Backfill(f"defaults of {table}", table, (update,)))
    return found


async def _move_preferences(execute: Execute, dialect: Dialect) -> None:
    existing = await existing_columns(execute, dialect)
    for column in _LISTS:
        if column in existing.get("tariff", ()):
            await _move_to_list(execute, dialect, column)


async def _move_to_list(execute: Execute, dialect: Dialect, column: str) -> None:
    """Moves the numbers of a column of plans into a table of pairs; zero is an empty list."""
    table = f"tariff__{column}"
    parts = [
        "owner_id BIGINT NOT NULL",
        "item_id BIGINT NOT NULL",
        "PRIMARY KEY (owner_id, item_id)",
    ]
    if dialect.name == "sqlite":
        parts.append("FOREIGN KEY (owner_id) REFERENCES tariff (id) ON DELETE CASCADE")
    await execute(f"CREATE TABLE IF NOT EXISTS {table} (\n  " + ",\n  ".join(parts) + "\n)", ())
    await execute(
        f"INSERT INTO {table} (owner_id, item_id) SELECT id, {column} FROM tariff WHERE {column} > 0 "
        "ON CONFLICT DO NOTHING",
        (),
    )
    await execute(f"ALTER TABLE tariff DROP COLUMN {column}", ())


MIGRATIONS = (
    Migration(
        12,
        "field defaults",
        "Fills fields that were required with their defaults; delivery preferences become lists.",
        _move_preferences,
        StepKind.CONTRACT,
        _defaults,
    ),
)
