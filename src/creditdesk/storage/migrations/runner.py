"""Applies and lists the steps; all of it runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.migrations import (
    audit_retention,
    booking_numbers,
    cache_revision,
    contract_states,
    counter_columns,
    credit_funding,
    credit_grants,
    daily_totals,
    field_defaults,
    hold_decisions,
    initial,
    internal_tables,
    job_requests,
    job_results,
    journal_facts,
    link_requests,
    logins,
    member_sessions,
    period_locks,
    printing_overdraft,
    report_tables,
    row_counters,
    saved_report_terms,
    saved_views,
    text_indexes,
)
from creditdesk.storage.migrations.declared import add_missing, replace_triggers
from creditdesk.storage.migrations.step import Migration, existing_columns

MIGRATIONS: Final[tuple[Migration, ...]] = (
    *initial.MIGRATIONS,
    *printing_overdraft.MIGRATIONS,
    *row_counters.MIGRATIONS,
    *internal_tables.MIGRATIONS,
    *field_defaults.MIGRATIONS,
    *counter_columns.MIGRATIONS,
    *cache_revision.MIGRATIONS,
    *logins.MIGRATIONS,
    *journal_facts.MIGRATIONS,
    *credit_funding.MIGRATIONS,
    *period_locks.MIGRATIONS,
    *text_indexes.MIGRATIONS,
    *hold_decisions.MIGRATIONS,
    *contract_states.MIGRATIONS,
    *report_tables.MIGRATIONS,
    *credit_grants.MIGRATIONS,
    *booking_numbers.MIGRATIONS,
    *report_tables.LATER_MIGRATIONS,
    *job_results.MIGRATIONS,
    *member_sessions.MIGRATIONS,
    *daily_totals.MIGRATIONS,
    *job_requests.MIGRATIONS,
    *saved_views.MIGRATIONS,
    *link_requests.MIGRATIONS,
    *saved_report_terms.MIGRATIONS,
    *audit_retention.MIGRATIONS,
)
"""Every step in order."""

LATEST_VERSION: Final = MIGRATIONS[-1].number

_VERSION_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version "
    "(number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_on TEXT NOT NULL)"
)


class NewerDatabase(Exception):
    """The database was written by a newer program, and this one does not know its schema."""


class OlderDatabase(Exception):
    """The database lacks steps of this program; `creditdesk migrate` applies them."""


class MissingDatabase(OlderDatabase):
    """There is no database, or an empty one; `creditdesk init` prepares it."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A pending change, and the statements it would execute."""

    title: str
    statements: tuple[str, ...]


async def applied(execute: Execute, dialect: Dialect) -> dict[int, str]:
    """When each step was applied, by its number; empty for an empty database."""
    if "schema_version" not in await existing_columns(execute, dialect):
        return {}
    rows = await execute("SELECT number, applied_on FROM schema_version ORDER BY number", ())
    return {int(number): str(applied_on) for number, applied_on in rows}


def check_version(steps: Mapping[int, str]) -> None:
    """Raises NewerDatabase or OlderDatabase unless exactly this program's steps are applied."""
    if not steps:
        raise MissingDatabase("The database is empty. Run: creditdesk init --admin EMAIL")
    version = max(steps, default=0)
    if version > LATEST_VERSION:
        raise NewerDatabase(
            f"The database has schema {version}; this program knows up to {LATEST_VERSION}. Use the newer program."
        )
    if version < LATEST_VERSION:
        raise OlderDatabase("The database is not up to date. Run: creditdesk migrate")


async def migrate(execute: Execute, dialect: Dialect, applied_on: str) -> None:
    """Applies the pending steps and adds what is declared and missing.

    Raises NewerDatabase when the database has steps that this program does not know.
    """
    for _, change in await _pending_changes(execute, dialect, applied_on):
        await change(execute, dialect)
    await replace_triggers(execute, dialect)


async def plan(execute: Execute, dialect: Dialect, applied_on: str) -> list[PlannedChange]:
    """The changes that `migrate` would make; empty when there are none.

    Applies them to learn their statements: the caller rolls the transaction back.
    """
    changes: list[PlannedChange] = []
    statements: list[str] = []

    async def record(text: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if not text.startswith("SELECT") and text != "PRAGMA schema_version":
            statements.append(_shown(text, parameters))
        return await execute(text, parameters)

    for title, change in await _pending_changes(execute, dialect, applied_on):
        await change(record, dialect)
        if statements:
            changes.append(PlannedChange(title, tuple(statements)))
            statements.clear()
    if changes:
        await replace_triggers(record, dialect)
        changes.append(PlannedChange("Triggers by their current definitions.", tuple(statements)))
    return changes


_Change = Callable[[Execute, Dialect], Awaitable[None]]


async def _pending_changes(execute: Execute, dialect: Dialect, applied_on: str) -> list[tuple[str, _Change]]:
    """What is to be done, each with a title: the pending steps, then what is declared."""
    steps = await applied(execute, dialect)
    version = max(steps, default=0)
    if version > LATEST_VERSION:
        check_version(steps)
    changes: list[tuple[str, _Change]] = [
        (f"{each.number} {each.name}: {each.description}", _recorded(each, applied_on))
        for each in MIGRATIONS
        if each.number > version
    ]
    return [*changes, ("What is declared and missing.", add_missing)]


def _recorded(migration: Migration, applied_on: str) -> _Change:
    """The step, and the row that records it."""
    values = (migration.number, migration.name, applied_on)

    async def apply(execute: Execute, dialect: Dialect) -> None:
        if migration.number == 1:
            await execute(_VERSION_TABLE, ())
        await migration.apply(execute, dialect)
        parameters = tuple(map(Parameter, ("number", "name", "applied_on"), range(3)))
        text = f"INSERT INTO schema_version VALUES ({', '.join(map(str, parameters))})"
        bound = Fragment(text, parameters).numbered(dialect).bind(values)
        await execute(bound.text, bound.values)

    return apply


def _shown(text: str, parameters: Sequence[Any]) -> str:
    """A statement as a person reads it, with the values of its parameters."""
    values = f" -- {', '.join(repr(each) for each in parameters)}" if parameters else ""
    return f"{text.strip()};{values}"
