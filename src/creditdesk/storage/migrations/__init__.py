"""Schema changes: numbered steps, then whatever is declared and still missing."""

from creditdesk.storage.migrations.planning import PlannedChange, RecordingTarget, estimate_rows
from creditdesk.storage.migrations.runner import migrate
from creditdesk.storage.migrations.step import Migration, StepKind
from creditdesk.storage.migrations.steps import LATEST_VERSION, MIGRATIONS, OLDEST_VERSION
from creditdesk.storage.migrations.target import (
    LocksUnavailable,
    OneTransaction,
    OnlineTarget,
    SchemaConnection,
    SchemaTarget,
)
from creditdesk.storage.migrations.window import (
    AppliedSteps,
    MissingDatabase,
    NewerDatabase,
    OlderDatabase,
    applied,
    check_version,
)

__all__ = [
    "LATEST_VERSION",
    "MIGRATIONS",
    "OLDEST_VERSION",
    "AppliedSteps",
    "LocksUnavailable",
    "Migration",
    "MissingDatabase",
    "NewerDatabase",
    "OlderDatabase",
    "OneTransaction",
    "OnlineTarget",
    "PlannedChange",
    "RecordingTarget",
    "SchemaConnection",
    "SchemaTarget",
    "StepKind",
    "applied",
    "check_version",
    "estimate_rows",
    "migrate",
]
