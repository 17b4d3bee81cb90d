"""The step of the last successes of scheduled jobs."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        27,
        "last successes of jobs",
        "Marks the schema that knows when a job last succeeded; the declared column follows.",
        nothing,
    ),
)
