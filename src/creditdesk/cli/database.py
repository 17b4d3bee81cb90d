"""The database and the settings of a command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import platformdirs
from cyclopts import Parameter

from creditdesk.cli.output import CliError
from creditdesk.schema.repository import Store
from creditdesk.settings import SETTINGS_VARIABLE, Settings, variable_of
from creditdesk.settings_sources import load_settings
from creditdesk.storage.engine import open_store
from creditdesk.storage.urls import SQLITE_PREFIX, split_password, sqlite_file, with_password

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

    Raises CliError for a password in the arguments, which every user of the machine can see.
    """
    if option and option != os.environ.get(DATABASE_VARIABLE) and split_password(option)[1]:
        raise CliError(
            "Other users can see a password among the arguments. Put the URL into"
            f" {DATABASE_VARIABLE}, or the password into a file that"
            f" {variable_of('database_password_file')} names."
        )
    settings = load_settings(os.environ, settings_file())
    url = option or settings.database
    if url:
        return _with_password(url, settings.database_password_file)
    return f"{SQLITE_PREFIX}{platformdirs.user_data_path('creditdesk') / 'creditdesk.db'}"


def _with_password(url: str, file: str) -> str:
    """The URL with the password of the file, unless it has one or needs none."""
    if not file or sqlite_file(url) is not None or split_password(url)[1]:
        return url
    return with_password(url, Path(file).read_text("utf-8").strip("\r\n"))


def settings_file() -> Path | None:
    """The TOML file that the environment names, if any."""
    named = os.environ.get(SETTINGS_VARIABLE)
    return Path(named) if named else None


def settings_for(url: str) -> Settings:
    """The settings in force, with this database."""
    return replace(load_settings(os.environ, settings_file()), database=url)


@asynccontextmanager
async def open_database(option: str | None, *, migrated: bool = False) -> AsyncIterator[Store]:
    """Opens a store and closes it at the end. With `migrated`, first applies the expand steps."""
    store = await open_store(database_url(option), migrated=migrated, contract=False)
    try:
        yield store
    finally:
        await store.close()
