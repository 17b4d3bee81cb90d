"""`creditdesk config`: the settings in force, and where each is from."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any, Final

from cyclopts import Parameter

from creditdesk.api.administration import ShownSetting
from creditdesk.cli.database import database_url, settings_file
from creditdesk.cli.output import echo
from creditdesk.settings_sources import SettingInForce, settings_in_force
from creditdesk.storage.urls import describe_url

MASK: Final = "********"


def config(
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")] = False,
) -> int:
    """Print every setting with its value, and the file or variable that it is from.

    Secrets are masked; of the database, the path or the server and name are shown.
    """
    settings = settings_in_force(os.environ, settings_file())
    if as_json:
        shown = {each.declared.name: {"value": _shown(each), "source": each.source} for each in settings}
        echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    rows = [(each.declared.name, _as_text(_shown(each)), each.source) for each in settings]
    name_width, value_width = (max(len(row[at]) for row in rows) for at in (0, 1))
    for name, value, source in rows:
        echo(f"{name:{name_width}}  {value:{value_width}}  {source}")
    return 0


def shown_settings() -> list[ShownSetting]:
    """The settings in force as an administrator may see them."""
    settings = settings_in_force(os.environ, settings_file())
    return [
        ShownSetting(each.declared.name, _shown(each), each.source, each.declared.constraints.meaning)
        for each in settings
    ]


def _shown(each: SettingInForce) -> Any:
    if each.declared.name == "database":
        return describe_url(database_url(None))
    return MASK if each.declared.constraints.secret and each.value else each.value


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
