"""What connections to PostgreSQL begin with stands in the role, where a pooler does not lose it."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from creditdesk.storage.engine import open_store
from creditdesk.storage.role_settings import set_role_settings
from tests.support.databases import create_postgres_database, database_name, drop_postgres_database, run_sql

EXPECTED = {"jit": "off", "plan_cache_mode": "force_generic_plan"}


async def test_migration_sets_what_connections_begin_with(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = create_postgres_database(postgres_server)
    await run_sql(url, f"ALTER ROLE CURRENT_USER IN DATABASE {database_name(url)} RESET ALL")
    connect = asyncpg.connect
    sent: list[dict[str, str] | None] = []

    async def record(*arguments: Any, **options: Any) -> Any:
        sent.append(options.get("server_settings"))
        return await connect(*arguments, **options)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(asyncpg, "connect", record)
            await (await open_store(url, migrated=True)).close()
        connection = await connect(url)
        try:
            assert {name: await connection.fetchval(f"SHOW {name}") for name in EXPECTED} == EXPECTED
        finally:
            await connection.close()
    finally:
        drop_postgres_database(postgres_server, url)
    names = {name for parameters in sent for name in parameters or ()}
    assert names == {"application_name"}


async def test_several_processes_set_them_at_once(postgres_server: str) -> None:
    url = create_postgres_database(postgres_server)
    try:
        for _ in range(5):
            await asyncio.gather(*(set_role_settings(url) for _ in range(6)))
    finally:
        drop_postgres_database(postgres_server, url)
