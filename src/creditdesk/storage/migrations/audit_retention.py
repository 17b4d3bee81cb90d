"""Step 34: records of the audit trail can be removed after their retention."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        34,
        "audit retention",
        "Marks the schema whose audit trail may start after its first record; the declared column follows.",
        nothing,
    ),
)
