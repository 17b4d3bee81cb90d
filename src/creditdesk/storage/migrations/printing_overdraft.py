"""Step 5: printing credit may be overdrawn (rule 33)."""

from __future__ import annotations

from typing import Final

from creditdesk.schema.fields import Integer
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_TABLE: Final = "coworker_extra_service"
_OLD_CHECK: Final = "CHECK (remaining_uses >= 0 AND remaining_uses <= total_uses)"
_NEW_CHECKS: Final = (
    "CHECK (remaining_uses >= -coalesce(overdraft, 0) AND remaining_uses <= total_uses)",
    "CHECK (coalesce(overdraft, 0) >= 0)",
)


async def _allow_overdraft(execute: Execute, dialect: Dialect) -> None:
    columns = (await existing_columns(execute, dialect)).get(_TABLE)
    if columns is None:
        return
    if "overdraft" not in columns:
        column_type = dialect.column_types[Integer]
        await execute(f"ALTER TABLE {_TABLE} ADD COLUMN overdraft {column_type}", ())
    if dialect.name == "sqlite":
        await _replace_check_on_sqlite(execute)
        return
    for (name,) in await execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'",
        (_TABLE,),
    ):
        await execute(f"ALTER TABLE {_TABLE} DROP CONSTRAINT {name}", ())
    for check in _NEW_CHECKS:
        await execute(f"ALTER TABLE {_TABLE} ADD {check}", ())


async def _replace_check_on_sqlite(execute: Execute) -> None:
    # SQLite cannot alter a check; its text is replaced, which reads and writes no row.
    ((version,),) = await execute("PRAGMA schema_version", ())
    await execute("PRAGMA writable_schema = ON", ())
    await execute(
        "UPDATE sqlite_master SET sql = replace(sql, ?1, ?2) WHERE type = 'table' AND name = ?3",
        (_OLD_CHECK, ",\n  ".join(_NEW_CHECKS), _TABLE),
    )
    await execute(f"PRAGMA schema_version = {version + 1}", ())
    await execute("PRAGMA writable_schema = OFF", ())


MIGRATIONS = (
    Migration(
        5,
        "printing overdraft",
        "Lets printing credit go below zero as far as its own row allows.",
        _allow_overdraft,
        StepKind.CONTRACT,
    ),
)
