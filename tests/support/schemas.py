"""Brings a database to the declared schema, and shows what one looks like."""

from __future__ import annotations

from creditdesk.storage.engine import open_store
from tests.support.databases import run_sql


async def schema(url: str) -> list[tuple[object, ...]]:
    """The objects of the schema."""
    if url.startswith("sqlite"):
        return await run_sql(url, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
    columns = await run_sql(
        url,
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY 1, 2",
    )
    names = await run_sql(
        url,
        "SELECT relkind::text, relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2",
    )
    indexed = await run_sql(url, "SELECT indexdef FROM pg_indexes ORDER BY 1")
    triggers = await run_sql(url, "SELECT tgname::text FROM pg_trigger ORDER BY 1")
    return columns + names + indexed + triggers


async def migrate(url: str) -> None:
    await (await open_store(url, migrated=True)).close()
