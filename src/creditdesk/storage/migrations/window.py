"""The window of schemas that a program serves: from its oldest to its newest, and newer ones that only expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import StepKind, existing_columns
from creditdesk.storage.migrations.steps import LATEST_VERSION, OLDEST_VERSION


class NewerDatabase(Exception):
    """A newer program has changed the database in a way that this one cannot serve."""


class OlderDatabase(Exception):
    """The database lacks steps of this program; `creditdesk migrate` applies them."""


class MissingDatabase(OlderDatabase):
    """There is no database, or an empty one; `creditdesk init` prepares it."""


@dataclass(frozen=True, slots=True)
class AppliedSteps:
    """When each step was applied, by its number, and which steps are known to be expand steps."""

    dates: Mapping[int, str] = field(default_factory=dict)
    expanding: frozenset[int] = frozenset()

    @property
    def version(self) -> int:
        """The number of the schema; 0 for an empty database."""
        return max(self.dates, default=0)


async def applied(execute: Execute, dialect: Dialect) -> AppliedSteps:
    """The steps of a database; none for an empty one."""
    columns = (await existing_columns(execute, dialect)).get("schema_version")
    if columns is None:
        return AppliedSteps()
    kind = "kind" if "kind" in columns else "NULL"
    rows = await execute(f"SELECT number, applied_on, {kind} FROM schema_version ORDER BY number", ())
    return AppliedSteps(
        {int(number): str(applied_on) for number, applied_on, _ in rows},
        frozenset(int(number) for number, _, kind in rows if kind == StepKind.EXPAND),
    )


def check_newest(steps: AppliedSteps) -> None:
    """Raises NewerDatabase when the database has a contract step that this program does not know."""
    unknown = [number for number in steps.dates if number > LATEST_VERSION and number not in steps.expanding]
    if unknown:
        raise NewerDatabase(
            f"The database has schema {steps.version}, and since step {min(unknown)} programs must know it; "
            f"this one knows up to {LATEST_VERSION}. Use the newer program."
        )


def check_version(steps: AppliedSteps) -> None:
    """Raises MissingDatabase, OlderDatabase or NewerDatabase unless this program serves the schema."""
    if not steps.dates:
        raise MissingDatabase("The database is empty. Run: creditdesk init --admin EMAIL")
    check_newest(steps)
    if steps.version < OLDEST_VERSION:
        raise OlderDatabase(
            f"The database has schema {steps.version}; this program serves from {OLDEST_VERSION} on. "
            "Run: creditdesk migrate"
        )
