"""The database and the settings of a command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, quote, urlsplit

import platformdirs
from cyclopts import Parameter

from creditdesk.cli.output import CliError
from creditdesk.schema.repository import Store
from creditdesk.settings import SETTINGS_VARIABLE, Settings, variable_of
from creditdesk.settings_sources import load_settings
from creditdesk.storage.engine import open_store

DATABASE_VARIABLE: Final = "CREDITDESK_DATABASE_URL"

DatabaseOption = Annotated[
    str | None,
    Parameter(
        name="--database",
        env_var=DATABASE_VARIABLE,
        help="sqlite:///path or postgresql://user:password@host/name. By default the one of the"
        " settings, or a file in your data folder.",
    ),
]


def database_url(option: str | None) -> str:
    """The URL of the option, of the settings, or of a file in the user's data folder.

    Raises CliError for a password among the arguments, which every user of the machine can list.
    """
    if option and option != os.environ.get(DATABASE_VARIABLE) and _password(option):
        raise CliError(
            "Other users can see a password among the arguments. Put the URL into"
            f" {DATABASE_VARIABLE}, or the password into a file that"
            f" {variable_of('database_password_file')} names."
        )
    settings = load_settings(os.environ, settings_file())
    url = option or settings.database
    if url:
        return _with_password(url, settings.database_password_file)
    return f"sqlite:///{platformdirs.user_data_path('creditdesk') / 'creditdesk.db'}"


def _password(url: str) -> str | None:
    if url.startswith("sqlite:///"):
        return None
    parts = urlsplit(url)
    return parts.password or dict(parse_qsl(parts.query)).get("password")


def _with_password(url: str, file: str) -> str:
    """The URL with the password of the file, unless it has one or needs none."""
    if not file or url.startswith("sqlite:///") or _password(url):
        return url
    parts = urlsplit(url)
    password = Path(file).read_text("utf-8").strip("\r\n")
    user, at, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0] if at else ""
    return parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}").geturl()


def describe_database(url: str) -> str:
    """The path of a file, or server and name without user, password and options."""
    if url.startswith("sqlite:///"):
        return str(Path(url.removeprefix("sqlite:///")).resolve())
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")
    return f"postgresql://{host}{parts.path}"


def settings_file() -> Path | None:
    """The TOML file that the environment names, if any."""
    named = os.environ.get(SETTINGS_VARIABLE)
    return Path(named) if named else None


def settings_for(url: str) -> Settings:
    """The settings in force, with this database."""
    return replace(load_settings(os.environ, settings_file()), database=url)


@asynccontextmanager
async def open_database(option: str | None, *, migrated: bool = False) -> AsyncIterator[Store]:
    """Opens a store and closes it at the end; `migrated` first brings its schema up to date."""
    store = await open_store(database_url(option), migrated=migrated)
    try:
        yield store
    finally:
        await store.close()
