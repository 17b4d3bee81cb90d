"""Step 14: the revision of what processes cache."""

from __future__ import annotations

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration


async def _create_revision(execute: Execute, _dialect: Dialect) -> None:
    await execute(
        "CREATE TABLE IF NOT EXISTS cache_revision (id INTEGER PRIMARY KEY CHECK (id = 1), revision BIGINT NOT NULL)",
        (),
    )


MIGRATIONS = (
    Migration(
        14,
        "cache revision",
        "Adds the number by which processes notice a change of what they cached of users and sessions.",
        _create_revision,
    ),
)
