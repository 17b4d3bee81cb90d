"""Copies a database to a file and restores it: SQLite's online copy, or pg_dump and pg_restore.

A backup is consistent and blocks no writer. Its file is private, and appears only when it is complete.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import asyncpg

from creditdesk.private_files import ensure_private
from creditdesk.storage.urls import SQLITE_PREFIX, split_password, sqlite_file, with_database

_PASSWORD_VARIABLE: Final = "PGPASSWORD"  # noqa: S105 - a name
_SQLITE_HEADER: Final = b"SQLite format 3\0"
_DUMP_HEADER: Final = b"PGDMP"


class BackupError(Exception):
    """A backup or a restore failed; the message says why."""


async def back_up(url: str, target: Path) -> None:
    """Copies the database into a new file: a SQLite database, or a dump in pg_dump's custom format.

    Raises BackupError if the file exists, or if pg_dump is missing or fails.
    """
    partial = _prepare_partial(target)
    try:
        if (file := sqlite_file(url)) is not None:
            await asyncio.to_thread(_copy_sqlite, Path(file), partial)
        else:
            await _run_postgresql_tool("pg_dump", url, "--format=custom", "--no-owner", f"--file={partial}")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


async def restore(backup: Path, url: str) -> None:
    """Restores a backup into an empty database.

    Raises BackupError if the backup is of another engine, or if pg_restore is missing or fails.
    """
    with backup.open("rb") as file:
        header = file.read(len(_SQLITE_HEADER))
    file_name = sqlite_file(url)
    engine, expected = ("PostgreSQL", _DUMP_HEADER) if file_name is None else ("SQLite", _SQLITE_HEADER)
    if not header.startswith(expected):
        raise BackupError(f"{backup} is no backup of a {engine} database.")
    if file_name is not None:
        ensure_private(Path(file_name))
        await asyncio.to_thread(_copy_sqlite, backup, Path(file_name))
    else:
        options = ("--no-owner", "--no-privileges", "--exit-on-error")
        await _run_postgresql_tool("pg_restore", url, *options, str(backup))


@asynccontextmanager
async def scratch_database(url: str) -> AsyncIterator[str]:
    """An empty database of the same engine, for the duration of the block.

    For SQLite it is a file in a temporary folder, for PostgreSQL one more database on the same
    server, which needs the right to create databases.
    """
    if sqlite_file(url) is not None:
        with tempfile.TemporaryDirectory(prefix="creditdesk-drill-") as folder:
            yield f"{SQLITE_PREFIX}{folder}/restored.db"
        return
    name = f"creditdesk_drill_{secrets.token_hex(6)}"
    await _execute(url, f"CREATE DATABASE {name}")
    try:
        yield with_database(url, name)
    finally:
        await _execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def _prepare_partial(target: Path) -> Path:
    """An empty private file beside the target, which is renamed to the target when it is complete."""
    if target.exists():
        raise BackupError(f"{target} already exists; a backup is never overwritten.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    ensure_private(partial)
    return partial


def _copy_sqlite(source: Path, target: Path) -> None:
    # All pages in one step: in write-ahead mode the copy reads one snapshot and blocks nobody.
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _run_postgresql_tool(program: str, url: str, *arguments: str) -> None:
    """Runs pg_dump or pg_restore; passes the password in the environment, which `ps` does not show."""
    address, password = split_password(url)
    environment = dict(os.environ)
    if password:
        environment[_PASSWORD_VARIABLE] = password
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            f"--dbname={address}",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise BackupError(f"{program} is not on the path: install PostgreSQL's client programs.") from None
    try:
        _, errors = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise BackupError(f"{program} failed: {errors.decode(errors='replace').strip()}")
