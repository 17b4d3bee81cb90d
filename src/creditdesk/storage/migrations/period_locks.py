"""Step 18: closed periods of locations (rule 37)."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        18,
        "period locks",
        "Marks the schema in which periods can be closed; the declared table follows.",
        nothing,
    ),
)
