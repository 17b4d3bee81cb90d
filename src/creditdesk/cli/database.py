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

from creditdesk.schema.repository import Store
from creditdesk.settings import SETTINGS_VARIABLE, Settings, load_settings
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
    """The URL of the option, of the settings, or of a file in the user's data folder."""
    if option:
        return option
    if configured := load_settings(os.environ, settings_file()).database:
        return configured
    return f"sqlite:///{platformdirs.user_data_path('creditdesk') / 'creditdesk.db'}"


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
