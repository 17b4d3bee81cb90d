"""What `creditdesk migrate` shows instead of migrating: the steps, or what would be executed."""

from __future__ import annotations

from creditdesk.cli.output import echo
from creditdesk.storage.engine import migration_steps, planned_changes


async def print_steps(url: str) -> None:
    """One line for each step: its number, name and description, and when it was applied."""
    for step, applied_on in await migration_steps(url):
        echo(f"{applied_on or 'pending':25}  {step}")


async def print_plan(url: str) -> None:
    """The statements that `creditdesk migrate` would execute, as an SQL script with comments."""
    changes = await planned_changes(url)
    if not changes:
        echo("The database is up to date.")
    for change in changes:
        echo(f"-- {change.title}")
        for statement in change.statements:
            echo(statement)
        echo("")
