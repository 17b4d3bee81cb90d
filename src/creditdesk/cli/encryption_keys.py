"""The key file beside a database, and the command `rotate-key`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import platformdirs

from creditdesk.auth.audit_trail import AuditAction
from creditdesk.auth.encryption import SecretCipher, encrypt_stored_secrets, generate_encryption_key
from creditdesk.cli.audit import record_command
from creditdesk.cli.database import DatabaseOption, database_url, open_database, settings_for
from creditdesk.cli.output import CliError, echo
from creditdesk.private_files import create_private_text
from creditdesk.settings import Settings
from creditdesk.storage.urls import sqlite_file


def settings_with_key(url: str) -> Settings:
    """The settings in force with the encryption key, which is created with its file where missing."""
    settings = settings_for(url)
    if settings.auth.encryption_key:
        return settings
    file = key_file(settings, url)
    file.parent.mkdir(parents=True, exist_ok=True)
    create_private_text(file, generate_encryption_key() + "\n")
    return replace(settings, auth=replace(settings.auth, encryption_key=_read_keys(file)))


def existing_keys(url: str) -> str:
    """The keys in force, empty if there are none; creates no file."""
    settings = settings_for(url)
    file = key_file(settings, url)
    return settings.auth.encryption_key or (_read_keys(file) if file.exists() else "")


def _read_keys(file: Path) -> str:
    return ",".join(file.read_text("utf-8").split())


def key_file(settings: Settings, url: str) -> Path:
    """The file of the settings, else beside a SQLite database, else in the user's data folder."""
    if settings.auth.encryption_key_file:
        return Path(settings.auth.encryption_key_file)
    if (file := sqlite_file(url)) is not None:
        return Path(f"{file}.key")
    return platformdirs.user_data_path("creditdesk") / "encryption.key"


def rotate_key(*, database: DatabaseOption = None) -> int:
    """Encrypt the secrets in the database with a new key. Restart every server afterwards.

    The new key becomes the first line of the key file. With keys in the setting auth.encryption_key,
    put a new one first and run this.
    """

    async def run() -> int:
        url = database_url(database)
        async with open_database(url) as store, store.write_session() as session:
            settings = settings_with_key(url)
            keys = settings.auth.encryption_key
            if not settings_for(url).auth.encryption_key:
                keys = f"{generate_encryption_key()},{keys}"
                _replace(key_file(settings, url), keys)
            count = await encrypt_stored_secrets(session, SecretCipher(keys))
            await record_command(session, AuditAction.KEY_ROTATED, details={"Secrets": count})
            return count

    echo(f"Secrets encrypted with the new key: {asyncio.run(run())}. Restart every server.")
    return 0


def _replace(file: Path, keys: str) -> None:
    """Writes the keys; the file is complete at any time."""
    fresh = file.with_name(f"{file.name}.new")
    if not create_private_text(fresh, keys.replace(",", "\n") + "\n"):
        raise CliError(f"{fresh} exists: another rotation is running, or was cut short.")
    fresh.replace(file)
