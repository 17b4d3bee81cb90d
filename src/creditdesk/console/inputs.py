"""How each field type is entered in a form: one entry per type, its control, and its value for the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from creditdesk.console.formats import Formatter, as_instant
from creditdesk.console.labels import choices_of, column_title
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.entity import Column
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Field,
    Guid,
    Integer,
    Money,
    Number,
    Object,
    Reference,
    Text,
)


@dataclass(frozen=True, slots=True)
class Control:
    """An input of a form. `kind` is its type in HTML, or `select`, `textarea`, `checkbox`."""

    kind: str
    to_text: Callable[[Formatter, Any], str]
    to_api: Callable[[Formatter, str], Any]
    inputmode: str = ""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form as it is rendered."""

    name: str
    title: str
    control: Control
    text: str
    required: bool
    error: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    target: str = ""


def _plain(_format: Formatter, value: Any) -> str:
    return "" if value is None else str(value)


def _sent(_format: Formatter, text: str) -> Any:
    return text or None


def _from_list(_format: Formatter, value: Any) -> str:
    return ", ".join(str(each) for each in value or ())


def _to_list(_format: Formatter, text: str) -> Any:
    return [part.strip().lstrip("#") for part in text.split(",") if part.strip()]


def _from_object(_format: Formatter, value: Any) -> str:
    return "" if value is None else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _to_object(_format: Formatter, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _from_instant(formatter: Formatter, value: Any) -> str:
    instant = as_instant(value)
    if instant is None:
        return ""
    local = instant.astimezone(formatter.zone)
    return local.strftime("%Y-%m-%dT%H:%M:%S" if local.second else "%Y-%m-%dT%H:%M")


def _to_instant(formatter: Formatter, text: str) -> Any:
    """The local time of a control in UTC; any other text is passed to the API unchanged."""
    try:
        local = datetime.fromisoformat(text)
        if local.tzinfo is None:
            local = local.replace(tzinfo=formatter.zone)
        return format_datetime(local.astimezone(UTC))
    except (ValueError, OverflowError):
        return text or None


def _to_boolean(_format: Formatter, text: str) -> Any:
    return text == "true"


def _from_boolean(_format: Formatter, value: Any) -> str:
    return "true" if value else ""


_TEXT: Final = Control("text", _plain, _sent)
_DECIMAL: Final = Control("text", _plain, _sent, "decimal")
_WHOLE: Final = Control("text", _plain, _sent, "numeric")

CONTROLS: Final[dict[type[Field], Control]] = {
    Text: _TEXT,
    Guid: _TEXT,
    Integer: _WHOLE,
    Money: _DECIMAL,
    Number: _DECIMAL,
    Boolean: Control("checkbox", _from_boolean, _to_boolean),
    Enum: Control("select", _plain, _sent),
    DateTime: Control("datetime-local", _from_instant, _to_instant),
    Object: Control("textarea", _from_object, _to_object),
    Reference: Control("reference", _plain, _sent, "numeric"),
    Collection: Control("text", _from_list, _to_list),
}
"""The control of each field type."""


def form_field(formatter: Formatter, column: Column, value: Any, error: str = "", text: str | None = None) -> FormField:
    """A column as a field of a form; `text` is what the user entered, instead of the value."""
    field, language = column.field, formatter.locale.language
    control = CONTROLS[type(field)]
    choices: tuple[tuple[str, str], ...] = ()
    if isinstance(field, Enum):
        choices = choices_of(field, language)
    target = field.to if isinstance(field, Reference) and field.is_local else ""
    shown = control.to_text(formatter, value) if text is None else text
    return FormField(
        column.name, column_title(column, language), control, shown, field.required, error, choices, target
    )
