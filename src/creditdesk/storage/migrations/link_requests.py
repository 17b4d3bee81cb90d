"""Step 32: sign-in links by e-mail."""

from __future__ import annotations

from creditdesk.storage.migrations.step import Migration, nothing

MIGRATIONS = (
    Migration(
        32,
        "links by e-mail",
        "Adds the table of sign-in links that are to be sent by e-mail.",
        nothing,
    ),
)
