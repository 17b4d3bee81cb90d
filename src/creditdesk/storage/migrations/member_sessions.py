"""Step 28: sessions of members."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        28,
        "sessions of members",
        "Adds to sessions the customer whose records they are limited to.",
        nothing,
    ),
)
