"""Every setting, its default and its meaning; read from the environment or a TOML file.

Knows nothing of what the settings govern.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """`dir_convention`: `seed` (1 ascending, -1 descending) or `later` (0 ascending, 1 descending).
    `unknown_filters`: `ignore` or `refuse` parameters that no declaration knows.
    `require_list_filters`: refuse a listing without any of the filters its entity asks for; off,
    because the documented listing is unfiltered and only one live service was seen to refuse it.
    `body_limit_bytes`: a longer body is answered 413.
    """

    dir_convention: Literal["seed", "later"] = "seed"
    unknown_filters: Literal["ignore", "refuse"] = "ignore"
    require_list_filters: bool = False
    body_limit_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """`secret` signs tokens (empty: a fresh one at each start, so tokens end with the process).
    Lives in seconds: `token_life_seconds` of an access token, `refresh_life_seconds` of a refresh
    token.
    """

    secret: str = ""
    token_life_seconds: int = 604_799
    refresh_life_seconds: int = 1_296_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Calls allowed to one caller before 429; 0 is no limit, the default in development.
    `writes_per_minute` counts everything but GET.
    """

    calls_per_minute: int = 0
    calls_per_hour: int = 0
    calls_per_day: int = 0
    writes_per_minute: int = 0
    writes_per_day: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """`strict_posts`: refuse posted uses on lapsed credit or without an amount (rules 8, 9).
    `window_test`: the instant a credit must be valid at (rule 12).
    `cross_location`: let a credit pay at another location (rule 17).
    `return_grace_days`: re-issue what returns to a lapsed credit for so long; 0 is off (rule 30).
    `interval_minutes`: the booking step where a location names none (rule 20).
    """

    strict_posts: bool = False
    window_test: Literal["service_start", "spend_time"] = "service_start"
    cross_location: bool = False
    return_grace_days: int = 0
    interval_minutes: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`database`: `sqlite:///path` or `postgresql://…`. `seal_key_file`: where the key that seals
    the journal is kept; empty keeps it beside the database.
    """

    database: str = "sqlite:///creditdesk.db"
    seal_key_file: str = ""
    wire: WireSettings = field(default_factory=WireSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)


class BadSetting(ValueError):
    """A setting that is unknown or not of its type; the text names it."""


def load_settings(environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Defaults, then the TOML file, then the environment: `CREDITDESK_WIRE_DIR_CONVENTION` sets
    `wire.dir_convention`. BadSetting when a value cannot be taken.
    """
    told: dict[str, Any] = tomllib.loads(file.read_text("utf-8")) if file else {}
    return _filled(Settings(), told, environ, "creditdesk")


def _filled(section: T, told: Mapping[str, Any], environ: Mapping[str, str], way: str) -> T:
    hints = get_type_hints(type(section))
    names = {f.name for f in fields(section)}  # type: ignore[arg-type]
    if unknown := set(told) - names:
        raise BadSetting(f"{way}: no setting {sorted(unknown)[0]}")
    changes: dict[str, Any] = {}
    for name in names:
        here = getattr(section, name)
        if hasattr(here, "__dataclass_fields__"):
            changes[name] = _filled(here, told.get(name, {}), environ, f"{way}_{name}")
            continue
        raw = environ.get(f"{way}_{name}".upper(), told.get(name))
        if raw is not None:
            changes[name] = _read(raw, hints[name], f"{way}_{name}")
    return replace(section, **changes)  # type: ignore[type-var]


def _read(raw: Any, kind: Any, name: str) -> Any:
    if kind is bool:
        word = str(raw).lower()
        if word not in ("true", "false", "1", "0", "on", "off"):
            raise BadSetting(f"{name} must be true or false, not {raw}")
        return word in ("true", "1", "on")
    if kind is int:
        if not str(raw).isdigit():
            raise BadSetting(f"{name} must be a whole number, not {raw}")
        return int(raw)
    choices = getattr(kind, "__args__", None)
    if choices and raw not in choices:
        raise BadSetting(f"{name} must be one of {', '.join(choices)}, not {raw}")
    return str(raw)
