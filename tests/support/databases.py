"""Fresh databases of both engines."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from itertools import count
from typing import Any, Final

import asyncpg
import psutil

from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.role_settings import set_role_settings
from creditdesk.storage.sqlite import SQLiteStore

NewDatabase = Callable[[str], AbstractContextManager[str]]
"""The fixture `new_database`: the URL of a fresh database of an engine, for a block."""

ENGINES: Final = ("sqlite", "postgresql")
NEEDED_MEMORY_BYTES: Final = 4 << 30
_numbers = count(1)


def memory_folder() -> str | None:
    """A folder in memory with room for a server's databases, if there is one.

    A copy of a database is hundreds of files, which take a second on some disks.
    """
    folder = "/dev/shm"
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < NEEDED_MEMORY_BYTES:
        return None
    return folder if psutil.virtual_memory().available >= NEEDED_MEMORY_BYTES else None


def create_postgres_database(server: str, template: str | None = None) -> str:
    """Creates a database on the server at this URL, as a copy of `template`, and returns its URL."""
    name = f"creditdesk_{os.getpid()}_{next(_numbers)}"
    copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
    run_in_thread(_execute(server, f"CREATE DATABASE {name}{copied}"))
    url = database_url(server, name)
    # A copy does not have what a migration set for the role.
    run_in_thread(set_role_settings(url))
    return url


def drop_postgres_database(server: str, url: str) -> None:
    """Drops a database of the server, and ends the connections to it."""
    run_in_thread(_execute(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)"))


def database_url(server: str, name: str) -> str:
    """The URL of one database of a server."""
    head, mark, query = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{query}"


def database_name(url: str) -> str:
    """The name of the database at a PostgreSQL URL."""
    return url.partition("?")[0].rsplit("/", 1)[1]


def migrate_database(url: str) -> None:
    """Creates the schema."""

    async def migrate() -> None:
        await (await open_store(url, migrated=True)).close()

    run_in_thread(migrate())


def run_in_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end on an event loop of its own, even where a loop is running."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


async def run_sql(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements on a connection of their own and returns the rows of the last."""
    rows: list[tuple[Any, ...]] = []
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            for statement in statements:
                rows = file.execute(statement).fetchall()
        return rows
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            rows = [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
    return rows


async def run_sql_in_store(store: Store, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements on a connection of the store and returns the rows of the last."""
    rows: list[tuple[Any, ...]] = []
    if isinstance(store, SQLiteStore):
        for statement in statements:
            rows = store.connection.execute(statement).fetchall()
        return rows
    assert isinstance(store, PostgreSQLStore)
    async with store.pool.acquire() as connection:
        for statement in statements:
            rows = [tuple(row) for row in await connection.fetch(statement)]
    return rows


async def _execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
