"""Every setting in one value, read from defaults, a TOML file and the environment, in that order.

Each room declares what governs it; this module gathers them, and only the limits are its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from creditdesk.api.settings import ApiSettings
from creditdesk.auth.settings import AuthSettings
from creditdesk.ledger.rules.credit import LedgerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    """How many calls one caller may make, per worker; 0 is no limit. All are off by default.

    `writes_…` count everything but reading. The real system's figures are 60 writes a minute and
    5,000 a day; of all verbs 120 a minute, 5,000 an hour and 200,000 a day.
    """

    calls_per_minute: int = 0
    calls_per_hour: int = 0
    calls_per_day: int = 0
    writes_per_minute: int = 0
    writes_per_day: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`database`: `sqlite:///path` or `postgresql://…`; `connections` to PostgreSQL per worker."""

    database: str = "sqlite:///creditdesk.db"
    connections: int = 4
    api: ApiSettings = field(default_factory=ApiSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    limits: RateLimitSettings = field(default_factory=RateLimitSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)


class SettingsError(ValueError):
    """A setting that is unknown or not of its type; the text names it."""


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """The settings that hold: `CREDITDESK_WIRE_DIR_CONVENTION` in the environment wins over
    `dir_convention` of `[wire]` in the file, which wins over the default.

    Raises BadSetting for a value that cannot be taken or a name in the file that is none.
    """
    told: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path else {}
    changes = _changes(Settings(), told, environ, "")
    return replace(Settings(), **changes)


def _changes(
    section: Any, told: Mapping[str, Any], environ: Mapping[str, str], way: str
) -> dict[str, Any]:
    hints = get_type_hints(type(section))
    names = [f.name for f in fields(section)]
    for name in told:
        if name not in names:
            raise SettingsError(f"there is no setting {way}{name}")
    changes: dict[str, Any] = {}
    for name in names:
        here = getattr(section, name)
        if is_dataclass(here):
            inner = _changes(here, told.get(name, {}), environ, f"{way}{name}.")
            changes[name] = replace(here, **inner)  # type: ignore[type-var]
            continue
        variable = f"CREDITDESK_{way}{name}".replace(".", "_").upper()
        raw = environ.get(variable, told.get(name))
        if raw is not None:
            changes[name] = _read(raw, hints[name], f"{way}{name}")
    return changes


def _read(raw: Any, kind: Any, name: str) -> Any:
    word = str(raw).strip()
    if get_origin(kind) is Literal:
        if word not in get_args(kind):
            raise SettingsError(f"{name} must be one of {', '.join(get_args(kind))}, not {word}")
        return word
    if kind is bool:
        if word.lower() not in ("true", "false", "1", "0", "on", "off"):
            raise SettingsError(f"{name} must be true or false, not {word}")
        return word.lower() in ("true", "1", "on")
    if isinstance(kind, type) and issubclass(kind, Enum):
        kind_of = kind
    else:
        kind_of = {int: int, float: float, str: str}.get(kind, str)
    try:
        return kind_of(word)
    except ValueError:
        raise SettingsError(f"{name} cannot be {word}") from None
