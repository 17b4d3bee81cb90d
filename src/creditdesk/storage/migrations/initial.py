"""Steps 1 to 4: the first schema and its first corrections."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, drop_indexes, nothing

_INTERNAL_TABLES = (
    "allocation_document", "benefit_roll_over", "credential", "credit_state", "grant_key", "hold",
    "location_profile", "refresh_token", "sealed_heads", "sign_in_attempt", "signing_key",
    "stored_answer", "stored_checkpoint",
)  # fmt: skip


async def _create_id_sequence(execute: Execute, dialect: Dialect) -> None:
    if dialect.name == "sqlite":
        await execute(
            "CREATE TABLE IF NOT EXISTS id_sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
            (),
        )


async def _drop_unused_indexes(execute: Execute, _dialect: Dialect) -> None:
    names = [
        f"{table}_{column}_ix" for table in _INTERNAL_TABLES for column in ("updated_on", "created_on", "unique_id")
    ]
    replaced = ("credit_state_unique_1", "stored_answer_key_number_ix", "stored_answer_unique_1")
    await drop_indexes(execute, (*names, *replaced))


async def _drop_day_counters(execute: Execute, _dialect: Dialect) -> None:
    await execute("DROP TABLE IF EXISTS row_tally", ())


MIGRATIONS = (
    Migration(
        1,
        "initial schema",
        "Creates the id sequences of SQLite; the declared tables follow.",
        _create_id_sequence,
    ),
    Migration(
        2,
        "fewer indexes",
        "Drops indexes of internal tables that no query uses.",
        _drop_unused_indexes,
    ),
    Migration(
        3,
        "row counters by creation and id",
        "Drops counters by day; the new counters are created and filled from the rows.",
        _drop_day_counters,
        StepKind.CONTRACT,
    ),
    Migration(
        4,
        "denormalized values",
        "Keeps out programs that insert rows without their denormalized values.",
        nothing,
        StepKind.CONTRACT,
    ),
)
