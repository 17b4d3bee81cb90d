"""Applies the pending steps, while servers run where the steps allow it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.migrations import state
from creditdesk.storage.migrations.backfill import Backfill
from creditdesk.storage.migrations.declared import add_missing, drop_window_triggers, replace_triggers, triggers_digest
from creditdesk.storage.migrations.step import Change, Migration, StepKind, existing_columns
from creditdesk.storage.migrations.steps import MIGRATIONS, OLDEST_VERSION
from creditdesk.storage.migrations.target import SchemaTarget
from creditdesk.storage.migrations.window import AppliedSteps, applied, check_newest

_VERSION_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version "
    "(number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_on TEXT NOT NULL, kind TEXT)"
)

_WINDOW_TITLE: Final = "Drop the triggers that fill new columns in rows of the older version."


async def migrate(target: SchemaTarget, applied_on: str, *, contract: bool) -> list[str]:
    """Applies the pending steps and adds what is declared and missing; returns the titles of what is still pending.

    Without `contract`, these are the contract steps, the steps that follow them, and the removal of triggers for older
    programs. Raises NewerDatabase if the database has contract steps that this program does not know.
    """
    steps, _ = await _read(target)
    check_newest(steps)
    pending = [each for each in MIGRATIONS if each.number > steps.version]
    await target.change(_create_state)
    if pending:
        # Steps may drop triggers; an interrupted migration must not find them recorded as current.
        await target.change(state.forget_triggers)
    _, recorded = await _read(target)
    waiting = await _expand(target, pending, recorded, applied_on)
    left_out = {table for each in waiting for table in each.tables}
    target.announce("What is declared and missing.", StepKind.EXPAND)
    await add_missing(target, left_out)
    if contract and waiting:
        await _contract(target, waiting, applied_on)
        await add_missing(target, ())
        waiting = []
    _, recorded = await _read(target)
    window_triggers = state.window_triggers(recorded)
    if contract:
        await _close_window(target, window_triggers)
    version = max((each.number for each in pending if each not in waiting), default=steps.version)
    if version >= OLDEST_VERSION and recorded.get(state.TRIGGERS) != triggers_digest(target.dialect):
        target.announce("Triggers by their current definitions.", StepKind.EXPAND)
        await replace_triggers(target)
    titles = [step.title for step in waiting]
    return [*titles, _WINDOW_TITLE] if window_triggers and not contract else titles


async def _close_window(target: SchemaTarget, window_triggers: Collection[str]) -> None:
    if window_triggers:
        target.announce(_WINDOW_TITLE, StepKind.CONTRACT)
        await drop_window_triggers(target, window_triggers)
    await target.change(state.close_window)


async def _read(target: SchemaTarget) -> tuple[AppliedSteps, dict[str, str]]:
    """The applied steps, and what migrations recorded beside them."""
    steps = AppliedSteps()
    recorded: dict[str, str] = {}

    async def read(execute: Execute, dialect: Dialect) -> None:
        nonlocal steps
        steps = await applied(execute, dialect)
        if "migration_state" in await existing_columns(execute, dialect):
            recorded.update(await state.read(execute))

    await target.change(read)
    return steps, recorded


async def _create_state(execute: Execute, dialect: Dialect) -> None:
    columns = await existing_columns(execute, dialect)
    if "kind" not in columns.get("schema_version", ()):
        await execute(_VERSION_TABLE, ())
        if "schema_version" in columns:
            await execute("ALTER TABLE schema_version ADD COLUMN kind TEXT", ())
    if "migration_state" not in columns:
        await execute(state.CREATE_TABLE, ())


async def _expand(
    target: SchemaTarget, pending: Iterable[Migration], recorded: dict[str, str], applied_on: str
) -> list[Migration]:
    """Applies expand steps, and runs the backfills of contract steps; returns the steps that are not recorded yet.

    Steps after a contract step are recorded after it, so that older programs still start.
    """
    waiting: list[Migration] = []
    for step in pending:
        is_early = step.kind is StepKind.CONTRACT and target.has_servers
        target.announce(step.title, step.kind)
        if is_early:
            await _fill(target, step)
        elif step.kind is StepKind.CONTRACT:
            await _fill(target, step)
            await target.change(step.apply)
        elif state.ahead_of_order(step.number) not in recorded:
            await target.change(step.apply)
            await _fill(target, step)
        if waiting or is_early:
            waiting.append(step)
            if step.kind is StepKind.EXPAND:
                await target.change(_record_ahead(step))
        else:
            await target.change(_record(step, applied_on))
    return waiting


async def _contract(target: SchemaTarget, waiting: Iterable[Migration], applied_on: str) -> None:
    """Applies contract steps, after also filling the rows that older programs wrote in the meantime."""
    for step in waiting:
        target.announce(step.title, step.kind)
        for backfill in await _backfills(target, step):
            await target.catch_up(backfill)
        if step.kind is StepKind.CONTRACT:
            await target.change(_apply_and_record(step, applied_on))
        else:
            await target.change(_record(step, applied_on))


async def _fill(target: SchemaTarget, step: Migration) -> None:
    for backfill in await _backfills(target, step):
        await target.backfill(backfill)


async def _backfills(target: SchemaTarget, step: Migration) -> list[Backfill]:
    columns: dict[str, set[str]] = {}

    async def read(execute: Execute, dialect: Dialect) -> None:
        columns.update(await existing_columns(execute, dialect))

    await target.change(read)
    return [*step.backfills(columns)]


def _apply_and_record(step: Migration, applied_on: str) -> Change:
    async def apply(execute: Execute, dialect: Dialect) -> None:
        await step.apply(execute, dialect)
        await _record(step, applied_on)(execute, dialect)

    return apply


def _record(step: Migration, applied_on: str) -> Change:
    values = (step.number, step.name, applied_on, step.kind.value)

    async def record(execute: Execute, dialect: Dialect) -> None:
        parameters = tuple(map(Parameter, ("number", "name", "applied_on", "kind"), range(4)))
        text = (
            f"INSERT INTO schema_version (number, name, applied_on, kind) VALUES ({', '.join(map(str, parameters))}) "
            "ON CONFLICT (number) DO NOTHING"
        )
        bound = Fragment(text, parameters).numbered(dialect).bind(values)
        await execute(bound.text, bound.values)

    return record


def _record_ahead(step: Migration) -> Change:
    async def record(execute: Execute, dialect: Dialect) -> None:
        await state.write(execute, dialect, state.ahead_of_order(step.number), "")

    return record
