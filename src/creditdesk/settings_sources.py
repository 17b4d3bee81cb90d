"""Reads the settings from their sources: a TOML file, then the environment.

A later source overrides an earlier one. The setting `auth.access_seconds` is `access_seconds` under `[auth]`
in the file and `CREDITDESK_AUTH_ACCESS_SECONDS` in the environment. Former names keep working. A secret
may be in a file that a variable ending in `_FILE` names.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from creditdesk.settings import COMMAND_VARIABLES, PREFIX, DeclaredSetting, Settings, declared_settings, variable_of

FORMER_NAMES: Final = {
    "database_url": "database",
    "wire.dir_convention": "api.dir_convention",
    "wire.unknown_filters": "api.unknown_filters",
    "wire.require_list_filters": "api.require_list_filters",
    "wire.body_limit_bytes": "api.body_limit_bytes",
    "auth.password_length_least": "auth.password_min_length",
    "auth.waiting_sign_ins": "auth.max_pending_sign_ins",
    "ledger.window_test": "ledger.validity_instant",
}
"""Accepted spellings of earlier versions, and `CREDITDESK_DATABASE_URL`, which commands document."""

RETIRED_NAMES: Final = frozenset(
    {
        "auth.revocation_seconds",
        "auth.sign_in_failures_account",
        "auth.sign_in_failures_address",
        "auth.sign_in_failures_per_account",
        "auth.sign_in_failures_per_address",
        "auth.sign_in_window_seconds",
    }
)
"""Settings of earlier versions that no longer have an effect but are still accepted."""

# Kubernetes sets variables of services in every container, such as CREDITDESK_API_PORT_80_TCP_ADDR.
_SERVICE_ANNOUNCEMENT: Final = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_\w+)?$")
_FOR_TESTS: Final = f"{PREFIX}TEST_"


class SettingsError(ValueError):
    """A setting that is unknown, given twice, or out of range; the message names it."""


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """The settings in force; the environment overrides the TOML file `path`.

    Raises SettingsError for an unknown name, for two values of one setting under two names, and for
    a value that is not of its type or out of range. Raises OSError when the file cannot be read.
    """
    values = {each.declared.name: each.value for each in settings_in_force(environ, path)}
    loaded: Settings = _build(Settings, values, "")
    if loaded.auth.argon2_memory_kib < 8 * loaded.auth.argon2_parallelism:
        raise SettingsError("auth.argon2_memory_kib must be at least 8 × auth.argon2_parallelism.")
    if loaded.mail.host and "@" not in loaded.mail.sender:
        raise SettingsError("mail.sender must be an e-mail address where mail.host is set.")
    if loaded.mail.host and not loaded.mail.site_url.startswith(("https://", "http://")):
        raise SettingsError("mail.site_url must begin with https:// where mail.host is set.")
    return loaded


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting, its value, and its source: the name of a file or variable, or `default`."""

    declared: DeclaredSetting
    value: Any
    source: str


def settings_in_force(environ: Mapping[str, str], path: Path | None = None) -> list[SettingInForce]:
    """Every setting in force, in order of declaration. Raises the errors of `load_settings`."""
    found: dict[str, tuple[Any, str]] = {}
    if path is not None:
        found = {name: (value, path.name) for name, (value, _) in _convert(_read_file(path)).items()}
    found |= _convert(_read_environment(environ))
    return [
        SettingInForce(each, *found.get(each.name, (each.default, "default"))) for each in declared_settings().values()
    ]


def _build(section: type[Any], values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(section)
    arguments: dict[str, Any] = {}
    for each in fields(section):
        name = f"{prefix}{each.name}"
        if is_dataclass(hints[each.name]):
            arguments[each.name] = _build(hints[each.name], values, f"{name}.")
        elif name in values:
            arguments[each.name] = values[name]
    return section(**arguments)


def _read_file(path: Path) -> Iterator[tuple[str, str, object]]:
    """(name as written, name, raw value) of every setting in a TOML file."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.name} is not a TOML file: {error}.") from None
    known = {name: name for name in declared_settings()} | FORMER_NAMES
    for written, raw in _flatten(document):
        if written in RETIRED_NAMES:
            continue
        if written not in known:
            raise SettingsError(_unknown(written, declared_settings()))
        yield written, known[written], raw


def _flatten(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", raw) for name, raw in value.items())
        else:
            yield key, value


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """(variable, dotted name, raw value) of every setting in the environment."""
    known = {variable_of(name): name for name in declared_settings()}
    known |= {variable_of(former): name for former, name in FORMER_NAMES.items()}
    retired = {variable_of(name) for name in RETIRED_NAMES}
    in_files = {each.file_variable: each.name for each in declared_settings().values() if each.file_variable}
    for variable, raw in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(_FOR_TESTS) or variable in retired:
            continue
        if variable in known:
            yield variable, known[variable], raw
        elif variable in in_files:
            yield variable, in_files[variable], _read_secret(variable, raw)
        elif variable not in COMMAND_VARIABLES and not _SERVICE_ANNOUNCEMENT.search(variable):
            current = [each.variable for each in declared_settings().values()]
            raise SettingsError(_unknown(variable, [*current, *in_files, *COMMAND_VARIABLES]))


def _read_secret(variable: str, path: str) -> str:
    """The text of the file that a variable names, without the line end."""
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"{variable} names {path}, which cannot be read: {reason}.") from None


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name, list(known), n=1, cutoff=0)
    return f"There is no setting {name}. Did you mean {nearest[0]}?"


def _convert(given: Iterable[tuple[str, str, object]]) -> dict[str, tuple[Any, str]]:
    """Typed values by dotted name, each with the name that it was written under."""
    values: dict[str, tuple[Any, str]] = {}
    for source, name, raw in given:
        value = _typed(declared_settings()[name], raw, source)
        if name in values and values[name][0] != value:
            raise SettingsError(f"{values[name][1]} and {source} are one setting with two values.")
        values[name] = (value, source)
    return values


def _typed(declared: DeclaredSetting, raw: object, source: str) -> Any:
    limits = declared.constraints
    given = raw.strip() if isinstance(raw, str) else raw
    if declared.type is bool and isinstance(given, str):
        given = {"on": "true", "off": "false"}.get(given.lower(), given)
    try:
        value = msgspec.convert(given, declared.type, strict=False)
        in_range = declared.type is not int or (
            (limits.minimum is None or value >= limits.minimum) and (limits.maximum is None or value <= limits.maximum)
        )
    except msgspec.ValidationError:
        in_range = False
    if not in_range:
        shown = "" if limits.secret else f", not {raw}"
        raise SettingsError(f"{source} must be {declared.expected}{shown}.")
    return value
