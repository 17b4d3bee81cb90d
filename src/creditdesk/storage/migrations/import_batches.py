"""Step 35: imports in parts."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        35,
        "imports in parts",
        "Adds the tables of the files that are imported, and of their parts.",
        nothing,
    ),
)
