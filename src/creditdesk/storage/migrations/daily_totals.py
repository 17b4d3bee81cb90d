"""The step of the stored totals of locations at the end of their days."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        29,
        "daily totals",
        "Adds the table of totals from which reports start, and indexes on the windows of credits.",
        nothing,
    ),
)
