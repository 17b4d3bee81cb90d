"""The step of the tables that reports need."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        22,
        "acknowledged exceptions",
        "Adds the table of acknowledgements of the exceptions report.",
        nothing,
    ),
    Migration(
        23,
        "scheduled jobs",
        "Adds the tables of saved reports, scheduled jobs and closings.",
        nothing,
    ),
)

LATER_MIGRATIONS = (
    Migration(
        26,
        "parameters of saved reports",
        "Adds the period and the customer of saved reports, and the table of what the last verification found.",
        nothing,
    ),
)
