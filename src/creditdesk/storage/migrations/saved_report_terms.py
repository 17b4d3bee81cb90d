"""Step 33: kind and grouping of saved reports."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        33,
        "kind and grouping of saved reports",
        "Adds to saved reports the kind of credit that they are limited to, and what their rows are.",
        nothing,
    ),
)
