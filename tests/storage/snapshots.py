"""The schema of a database, as the engine reports it."""

from __future__ import annotations

from typing import Any

from creditdesk.schema.repository import Store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.sqlite import SQLiteStore
from tests.support.databases import run_sql_in_store

_SCHEMA_QUERIES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL "
    "AND name NOT LIKE 'sqlite_stat%' ORDER BY name",
    "postgresql": """
SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_class AS c JOIN pg_index ON indexrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) || convalidated
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid) || tgenabled::text
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'own checks of references', count(*) || ' ' || string_agg(DISTINCT tgenabled, '')
FROM pg_trigger WHERE tgisinternal
ORDER BY 1, 2""",
}


async def schema_objects(store: Store) -> list[tuple[Any, ...]]:
    """Every table, index, foreign key and trigger with its definition."""
    assert isinstance(store, SQLiteStore | PostgreSQLStore)
    return await run_sql_in_store(store, _SCHEMA_QUERIES[store.statements.dialect.name])
