"""The state of migrations in the database, in addition to the steps: positions of backfills, steps done ahead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.fragments import Fragment, Parameter
from creditdesk.storage.migrations.backfill import Backfill

_NAME: Final = Parameter("name", 0)

CREATE_TABLE: Final = "CREATE TABLE IF NOT EXISTS migration_state (name TEXT PRIMARY KEY, value TEXT NOT NULL)"

ALL_FILLED: Final = "filled"
"""The position of a backfill that has filled every row."""

TRIGGERS: Final = "triggers"
"""The name of the digest of the triggers' definitions."""

_POSITION: Final = "position "
_NEW: Final = "new "
_AHEAD: Final = "ahead "
_WINDOW_TRIGGER: Final = "window trigger "
COPIES: Final = "copies of "
"""What the names of backfills of new copies contain."""


def position_of(backfill: Backfill) -> str:
    return f"{_POSITION}{backfill.name}"


def ahead_of_order(number: int) -> str:
    """The name under which a step is recorded that was applied before the contract steps that precede it."""
    return f"{_AHEAD}{number}"


def new_copies_of(table: str) -> str:
    """The name under which a table is recorded whose new copies are not filled yet."""
    return f"{_NEW}{COPIES}{table}"


def window_trigger(name: str) -> str:
    """The name under which a trigger is recorded that serves older programs only."""
    return f"{_WINDOW_TRIGGER}{name}"


def window_triggers(recorded: Iterable[str]) -> list[str]:
    """The triggers among what is recorded that serve older programs only."""
    return [name.removeprefix(_WINDOW_TRIGGER) for name in recorded if name.startswith(_WINDOW_TRIGGER)]


async def forget_copies(execute: Execute, _dialect: Dialect) -> None:
    """Records that all new copies are filled, so that later ones of a table are filled from its first row."""
    await execute(f"DELETE FROM migration_state WHERE name LIKE '%{COPIES}%'", ())


async def forget_triggers(execute: Execute, _dialect: Dialect) -> None:
    await execute(f"DELETE FROM migration_state WHERE name = '{TRIGGERS}'", ())


async def forget(execute: Execute, dialect: Dialect, name: str) -> None:
    bound = Fragment(f"DELETE FROM migration_state WHERE name = {_NAME}", (_NAME,)).numbered(dialect).bind((name,))
    await execute(bound.text, bound.values)


async def read(execute: Execute) -> dict[str, str]:
    """All values by name."""
    return {str(name): str(value) for name, value in await execute("SELECT name, value FROM migration_state", ())}


async def write(execute: Execute, dialect: Dialect, name: str, value: str) -> None:
    parameters = (_NAME, Parameter("value", 1))
    text = (
        f"INSERT INTO migration_state (name, value) VALUES ({', '.join(map(str, parameters))}) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    bound = Fragment(text, parameters).numbered(dialect).bind((name, value))
    await execute(bound.text, bound.values)


async def close_window(execute: Execute, _dialect: Dialect) -> None:
    """Forgets backfills and steps that are complete now that no older program writes."""
    if any(name.startswith((_POSITION, _AHEAD)) for name in await read(execute)):
        await execute(f"DELETE FROM migration_state WHERE name LIKE '{_POSITION}%' OR name LIKE '{_AHEAD}%'", ())
