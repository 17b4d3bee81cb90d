"""Copies a database's schema without its rows, to try a migration without locks."""

from __future__ import annotations

from typing import Final

from creditdesk.storage.dialects import Execute

_SCHEMA: Final = "creditdesk_plan"
_STATE_TABLES: Final = ("schema_version", "migration_state")
"""The tables whose rows are copied too: they say which changes are pending."""

_COPIES: Final = f"""
SELECT 1 AS place, format('CREATE TABLE {_SCHEMA}.%1$I (LIKE %1$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', relname)
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
UNION ALL
SELECT 1, format('CREATE SEQUENCE {_SCHEMA}.%I', sequencename) FROM pg_sequences WHERE schemaname = current_schema()
UNION ALL
SELECT 2, format('INSERT INTO {_SCHEMA}.%1$I SELECT * FROM %1$I', relname) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relname = ANY($1::text[])
UNION ALL
SELECT CASE contype WHEN 'f' THEN 4 ELSE 3 END,
  format('ALTER TABLE {_SCHEMA}.%I ADD CONSTRAINT %I %s', relname, conname,
    replace(pg_get_constraintdef(k.oid), ' REFERENCES ', ' REFERENCES {_SCHEMA}.'))
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
WHERE k.connamespace = current_schema()::regnamespace AND contype IN ('p', 'u', 'f')
UNION ALL
SELECT 3, replace(pg_get_indexdef(i.indexrelid), ' ON ' || current_schema() || '.', ' ON {_SCHEMA}.')
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY 1
"""


async def use_copied_schema(execute: Execute) -> None:
    """Lets the rest of a transaction on PostgreSQL see a copy of the schema; the caller rolls it back."""
    statements = await execute(_COPIES, (list(_STATE_TABLES),))
    await execute(f"CREATE SCHEMA {_SCHEMA}", ())
    for _, statement in statements:
        await execute(statement, ())
    await execute(f"SET LOCAL search_path = {_SCHEMA}", ())


async def copy_schema(source: Execute, target: Execute) -> None:
    """Copies the schema of a SQLite database into an empty one."""
    objects = await source(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
        "ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 ELSE 3 END",
        (),
    )
    for (text,) in objects:
        await target(text, ())
    for table in _STATE_TABLES:
        if await source("SELECT 1 FROM sqlite_master WHERE name = ?1", (table,)):
            for row in await source(f"SELECT * FROM {table}", ()):
                places = ", ".join(f"?{number}" for number in range(1, len(row) + 1))
                await target(f"INSERT INTO {table} VALUES ({places})", row)
