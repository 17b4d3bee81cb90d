"""Schema changes: numbered steps, then whatever is declared and still missing."""

from creditdesk.storage.migrations.runner import (
    LATEST_VERSION,
    MIGRATIONS,
    MissingDatabase,
    NewerDatabase,
    OlderDatabase,
    PlannedChange,
    applied,
    check_version,
    migrate,
    plan,
)

__all__ = [
    "LATEST_VERSION",
    "MIGRATIONS",
    "MissingDatabase",
    "NewerDatabase",
    "OlderDatabase",
    "PlannedChange",
    "applied",
    "check_version",
    "migrate",
    "plan",
]
