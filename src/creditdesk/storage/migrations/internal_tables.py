"""Steps 10 and 11: standard names of internal tables and of row counters."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.migrations.row_counters import COUNTED_TABLES, EVENTS
from creditdesk.storage.migrations.step import Migration, StepKind, existing_columns

_RENAMED_TABLES: Final = {
    "benefit_roll_over": "benefit_rollover",
    "credit_state": "account_state",
    "grant_key": "benefit_grant",
    "sealed_heads": "checkpoint_heads",
    "stored_answer": "stored_response",
}


async def _rename_tables(execute: Execute, dialect: Dialect) -> None:
    """Renames five internal tables and whatever the database names after them."""
    existing = await existing_columns(execute, dialect)
    for old, new in _RENAMED_TABLES.items():
        if old in existing:
            await execute(f"ALTER TABLE {old} RENAME TO {new}", ())
            rename_dependents = _rename_on_sqlite if dialect.name == "sqlite" else _rename_on_postgresql
            await rename_dependents(execute, old, new)


async def _rename_on_sqlite(execute: Execute, old: str, new: str) -> None:
    """Renames the id sequence; SQLite renames no index or trigger, so these are created again."""
    await execute("UPDATE id_sequence SET name = ?2 WHERE name = ?1", (old, new))
    for kind, name in await execute(
        "SELECT type, name FROM sqlite_master WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        (new,),
    ):
        await execute(f"DROP {kind} {name}", ())


async def _rename_on_postgresql(execute: Execute, old: str, new: str) -> None:
    """Renames the id sequence, and the table's indexes, constraints and triggers."""
    await execute(f"ALTER SEQUENCE IF EXISTS {old}_ids RENAME TO {new}_ids", ())
    dependents = await execute(
        "SELECT 'INDEX ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = $1::text::regclass "
        "UNION ALL SELECT 'CONSTRAINT ' || conname FROM pg_constraint "
        "WHERE conrelid = $1::text::regclass AND contype IN ('c', 'f', 'n') "
        "UNION ALL SELECT 'TRIGGER ' || tgname FROM pg_trigger "
        "WHERE tgrelid = $1::text::regclass AND NOT tgisinternal",
        (new,),
    )
    for (dependent,) in dependents:
        kind, _, name = dependent.partition(" ")
        if not name.startswith(f"{old}_"):
            continue
        renamed = new + name.removeprefix(old)
        if kind == "INDEX":
            await execute(f"ALTER INDEX {name} RENAME TO {renamed}", ())
        elif kind == "CONSTRAINT":
            await execute(f"ALTER TABLE {new} RENAME CONSTRAINT {name} TO {renamed}", ())
        else:
            await execute(f"ALTER TRIGGER {name} ON {new} RENAME TO {renamed}", ())


async def _rename_counters(execute: Execute, dialect: Dialect) -> None:
    """Renames the tables of row counters; their triggers are dropped, and created again."""
    existing = await existing_columns(execute, dialect)
    for table in COUNTED_TABLES:
        old, new = f"{table}_tally", f"{table}_counters"
        if old not in existing:
            continue
        for event in EVENTS:
            if dialect.name == "postgresql":
                await execute(f"DROP FUNCTION IF EXISTS {old}_{event}() CASCADE", ())
            else:
                await execute(f"DROP TRIGGER IF EXISTS {old}_{event}", ())
        await execute(f"ALTER TABLE {old} RENAME TO {new}", ())
        if dialect.name == "postgresql":
            await _rename_on_postgresql(execute, old, new)
    if dialect.name == "postgresql":
        await execute("DROP FUNCTION IF EXISTS creditdesk_tally_shard()", ())


MIGRATIONS = (
    Migration(
        10,
        "standard names of internal tables",
        "Renames five internal tables and their indexes, constraints and sequences.",
        _rename_tables,
        StepKind.CONTRACT,
        tables=tuple(_RENAMED_TABLES.values()),
    ),
    Migration(
        11,
        "standard names of row counters",
        "Renames the tables of row counters and replaces their triggers.",
        _rename_counters,
        StepKind.CONTRACT,
        tables=tuple(f"{table}_counters" for table in COUNTED_TABLES),
    ),
)
