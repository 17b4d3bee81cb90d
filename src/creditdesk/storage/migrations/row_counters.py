"""Steps 6 to 9: row counters by location and in more widths, and indexes of uses."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, drop_indexes, nothing

_USE_TABLES: Final = ("coworker_booking_credit_use_history", "coworker_extra_service_use_history")
COUNTED_TABLES: Final = (*_USE_TABLES, "journal_line")
EVENTS: Final = ("in", "out", "move")


async def _drop_shared_functions(execute: Execute, dialect: Dialect) -> None:
    await execute("DROP TABLE IF EXISTS row_tally", ())
    if dialect.name == "postgresql":
        for event in EVENTS:
            await execute(f"DROP FUNCTION IF EXISTS creditdesk_tally_{event}() CASCADE", ())


async def _drop_shared_counters(execute: Execute, dialect: Dialect) -> None:
    for table in COUNTED_TABLES:
        for event in EVENTS:
            trigger = f"{table}_tally_{event}"
            if dialect.name == "postgresql":
                await execute(f"DROP FUNCTION IF EXISTS {trigger}() CASCADE", ())
            else:
                await execute(f"DROP TRIGGER IF EXISTS {trigger}", ())
    await execute("DROP TABLE IF EXISTS row_tally", ())


async def _drop_partial_indexes(execute: Execute, _dialect: Dialect) -> None:
    await drop_indexes(execute, [f"{table}_system_id_ix" for table in _USE_TABLES])


MIGRATIONS = (
    Migration(
        6,
        "row counters by location",
        "Drops the counters; new ones count the rows of each location too.",
        _drop_shared_functions,
        StepKind.CONTRACT,
    ),
    Migration(
        7,
        "indexes of own values",
        "Marks the schema in which uses are indexed by their own values.",
        nothing,
    ),
    Migration(
        8,
        "row counters for each table",
        "Drops the common counters; each table has its own, in more widths.",
        _drop_shared_counters,
        StepKind.CONTRACT,
    ),
    Migration(
        9,
        "indexes for every sort of uses",
        "Drops partial indexes of SystemId; whole ones serve sorting too.",
        _drop_partial_indexes,
    ),
)
