"""The output of `creditdesk migrate`: the steps, the plan, and the pending steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from creditdesk.cli.output import echo
from creditdesk.storage.engine import migration_steps, planned_changes
from creditdesk.storage.migrations import PlannedChange
from creditdesk.storage.urls import sqlite_file


async def print_steps(url: str) -> None:
    """One line for each step: when it was applied, its kind, number, name and description."""
    for step in await migration_steps(url):
        number, _, name = step.title.partition(" ")
        echo(f"{step.applied_on or 'pending':25}  {number:>3}  {step.kind:8}  {name}")


async def print_plan(url: str) -> None:
    """The statements that `creditdesk migrate --contract` would execute, as an SQL script with comments."""
    changes = await planned_changes(url)
    if not changes:
        echo("The database is up to date.")
    for change in changes:
        echo(f"-- {change.title}")
        echo(f"-- {'; '.join(_effects(change, is_sqlite=sqlite_file(url) is not None))}.")
        for statement in change.statements:
            echo(statement)
        echo("")


def _effects(change: PlannedChange, *, is_sqlite: bool) -> Iterable[str]:
    """The effects of a change on running servers."""
    yield f"{change.kind.capitalize()} step"
    if change.locked_tables and not is_sqlite:
        yield f"locks for a moment: {', '.join(change.locked_tables)}"
    if change.indexes:
        meaning = "writes wait for each" if is_sqlite else "concurrently, without a lock"
        yield f"builds {change.indexes} indexes, {meaning}"
    for table, rows in change.filled.items():
        yield f"fills {table} in batches, about {rows:,} rows"


def print_waiting(titles: Sequence[str]) -> None:
    """Prints what remains to be done after older programs have stopped."""
    if not titles:
        echo("The database is up to date.")
        return
    echo("Servers of the older version go on. These steps wait:")
    for title in titles:
        echo(f"  {title}")
    echo("Stop all servers and jobs of the older version, then run: creditdesk migrate --contract")
