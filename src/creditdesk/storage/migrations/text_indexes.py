"""Step 19: indexes of embedded texts with few distinct values, sorted by creation."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        19,
        "indexes of texts by creation",
        "Marks the schema in which rows of one room, event or rate are indexed by creation.",
        nothing,
    ),
)
