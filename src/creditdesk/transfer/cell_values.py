"""Parses and writes field values of CSV cells and JSON, by one table for each direction, by field type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from creditdesk.ledger.rules.amounts import round_amount
from creditdesk.schema.conversions import (
    ParseError,
    format_datetime,
    format_decimal,
    parse_decimal,
)
from creditdesk.schema.fields import (
    MAX_INTEGER,
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
    Scaled,
    Text,
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value from a file; `rounded` when it had more decimal places than are kept (rule 3)."""

    value: Any
    rounded: bool = False


def blank_value(field: Field, *, cell: bool = False) -> Any:
    """The stored value of a null in JSON, or of an empty CSV cell."""
    if cell or not field.nullable or isinstance(field, Collection):
        return field.default_value
    return None


def parse_value(field: Field, raw: object) -> Parsed:
    """The stored value of a value in a file.

    A decimal with more places than the field stores is rounded half away from zero (rule 3).
    Raises ParseError when the value is not of the field's type.
    """
    if raw is None or (raw == "" and not isinstance(field, Text)):
        return Parsed(blank_value(field))
    if isinstance(field, Scaled):
        return _parse_scaled(field, raw)
    if isinstance(field, Object) and isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise ParseError("must be an object") from None
    return Parsed(field.parse(raw))


def _fast_integer(field: Integer, raw: object) -> Any:
    return raw if type(raw) is int and field.minimum <= raw <= field.maximum else ...


def _fast_reference(_field: Reference, raw: object) -> Any:
    return raw if type(raw) is int and 0 < raw <= MAX_INTEGER else ...


def _fast_boolean(_field: Boolean, raw: object) -> Any:
    return raw if raw is True or raw is False else ...


def _fast_enum(field: Enum, raw: object) -> Any:
    return raw if type(raw) is int and raw in field.of._value2member_map_ else ...


def _fast_guid(_field: Guid, raw: object) -> Any:
    return raw if type(raw) is str and _GUID.fullmatch(raw) else ...


def _fast_datetime(_field: DateTime, raw: object) -> Any:
    # Only the form that exports write; `parse_value` decides about every other one.
    if type(raw) is not str or len(raw) != 20:
        return ...
    if not (raw[4] == raw[7] == "-" and raw[10] == "T" and raw[19] == "Z"):
        return ...
    try:
        return datetime.fromisoformat(raw)
    except ValueError:
        return ...


FAST_PARSERS: Final[dict[type[Field], Callable[[Any, object], Any]]] = {
    Integer: _fast_integer,
    Reference: _fast_reference,
    Boolean: _fast_boolean,
    Enum: _fast_enum,
    Guid: _fast_guid,
    DateTime: _fast_datetime,
}
"""Shortcuts for the usual values of a type; `...` leaves the value to `parse_value`."""

_GUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _parse_scaled(field: Scaled, raw: object) -> Parsed:
    number = parse_decimal(raw, "must be a number such as 12.50")
    if number.adjusted() > 18 or number.adjusted() < -40:
        raise ParseError("must be a number of ordinary size")
    numerator, denominator = number.as_integer_ratio()
    scaled = numerator * 10**field.places
    whole, rest = divmod(scaled, denominator)
    if rest:
        whole = round_amount(Fraction(scaled, denominator), 4)
    if abs(whole) > MAX_INTEGER:
        raise ParseError("is too large")
    return Parsed(whole, rounded=bool(rest))


def _identity(value: Any) -> Any:
    return value


JSON_ENCODERS: Final[dict[type[Field], Callable[[Any], Any]]] = {
    Text: _identity,
    Guid: _identity,
    Integer: _identity,
    Money: lambda value: Decimal(format_decimal(value, Money.places)),
    Number: lambda value: Decimal(format_decimal(value, Number.places)),
    Boolean: _identity,
    Enum: _identity,
    DateTime: format_datetime,
    Object: _identity,
    Reference: _identity,
    Collection: list,
}

JSON_NATIVE_FIELDS: Final = frozenset(field for field, encode in JSON_ENCODERS.items() if encode is _identity)
"""Field types whose stored values are JSON values."""


def to_json(field: Field, value: Any) -> Any:
    """The JSON value of a stored value; decimals stay exact."""
    return None if value is None else JSON_ENCODERS[type(field)](value)


def to_cell(field: Field, value: Any) -> str:
    """The CSV cell of a stored value; None is an empty cell."""
    encoded = to_json(field, value)
    if encoded is None:
        return ""
    if isinstance(encoded, bool):
        return "true" if encoded else "false"
    if isinstance(encoded, list | dict):
        return json.dumps(encoded, ensure_ascii=False, separators=(",", ":"))
    if isinstance(encoded, Decimal):
        return f"{encoded:f}"
    return str(encoded)
