"""Step 30: a run of a scheduled job can be asked for."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        30,
        "job requests",
        "Marks the schema in which a run of a job can be asked for; the declared column follows.",
        nothing,
    ),
)
