"""Suspends indexes, foreign keys and triggers while many rows are inserted.

Building an index over existing rows is several times faster than maintaining it row by row, and foreign
keys are checked faster as a whole. Definitions are read from the catalog and restored word for word.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from creditdesk.schema.entity import Entity
from creditdesk.storage.dialects import Dialect, Execute
from creditdesk.storage.naming import location_column, table_name
from creditdesk.storage.row_counters import CountedTable
from creditdesk.storage.tables import tables


@dataclass(frozen=True, slots=True)
class SuspendedObject:
    """The statement that removes an object, and the one that restores it."""

    remove: str
    restore: str


_SUSPENDABLE_SQLITE: Final = """
SELECT 'DROP ' || type || ' "' || name || '"', sql FROM sqlite_master
WHERE (type = 'index' AND sql IS NOT NULL OR type = 'trigger' AND sql LIKE '%AFTER INSERT ON%')
AND tbl_name IN (SELECT value FROM json_each(?1)) ORDER BY type, name
"""
"""Indexes and insert triggers; foreign keys are checked by row id and cost little."""

_SUSPENDABLE_POSTGRESQL: Final = """
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
FROM pg_index AS i WHERE i.indrelid = ANY($1::text[]::regclass[]) AND NOT EXISTS (
  SELECT 1 FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),
  format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname,
    pg_get_constraintdef(k.oid))
FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid = ANY($1::text[]::regclass[])
UNION ALL
SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname),
  format('ALTER TABLE %s ENABLE TRIGGER %I', t.tgrelid::regclass, t.tgname)
FROM pg_trigger AS t WHERE t.tgrelid = ANY($1::text[]::regclass[])
AND NOT t.tgisinternal AND t.tgenabled = 'O' AND t.tgtype & 4 <> 0
ORDER BY 1
"""
"""Indexes except those of constraints, foreign keys, and insert triggers (bit 4 of `tgtype`).

Update and delete triggers stay: they cost nothing while rows are inserted.
"""

_FILLED_POSTGRESQL: Final = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.oid = ANY($1::text[]::regclass[]) AND pg_relation_size(c.oid) > 0 ORDER BY 1
"""


@asynccontextmanager
async def suspend(execute: Execute, dialect: Dialect, entities: Sequence[type[Entity]]) -> AsyncIterator[None]:
    """Suspends what slows down inserts into the tables of these entities, until the block ends.

    Runs inside the caller's transaction. Violations of unique indexes and foreign keys are raised as the
    block ends.
    """
    names = [table.name for table in tables(entities, dialect)]
    if dialect.name == "postgresql":
        await execute("SET LOCAL maintenance_work_mem = '256MB'", ())
        suspended = await _find_suspendable(execute, _SUSPENDABLE_POSTGRESQL, names)
    else:
        suspended = await _find_suspendable(execute, _SUSPENDABLE_SQLITE, dialect.array_parameter(names))
    for item in suspended:
        await execute(item.remove, ())
    if dialect.name == "postgresql":
        # A plan made while a table was empty would scan all of it, however large it has become.
        await execute("SET LOCAL enable_seqscan = off", ())
    yield
    if dialect.name == "postgresql":
        await execute("SET LOCAL enable_seqscan = on", ())
        # No table can be altered while a constraint or deferred trigger of it is pending.
        await execute("SET CONSTRAINTS ALL IMMEDIATE", ())
        # ANALYZE of an empty table records that it has no rows, for every plan until autovacuum analyzes it again.
        for (name,) in await execute(_FILLED_POSTGRESQL, (names,)):
            await execute(f"ANALYZE {name}", ())
    for entity in entities:
        if entity.counted:
            counted = CountedTable(table_name(entity), location_column(entity))
            await _recount(execute, dialect, counted)
    for item in reversed(suspended):
        await execute(item.restore, ())


async def _find_suspendable(execute: Execute, text: str, names: Any) -> list[SuspendedObject]:
    return [SuspendedObject(remove, restore) for remove, restore in await execute(text, (names,))]


async def _recount(execute: Execute, dialect: Dialect, counted: CountedTable) -> None:
    """Counts the rows that were inserted while the triggers were suspended."""
    await execute(f"DELETE FROM {counted.counter_table}", ())
    await execute(dialect.counters.backfill(counted), ())
