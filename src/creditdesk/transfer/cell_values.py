"""How a field's value reads from a file and is written to one: a table `kind -> its reading`.

Text in a CSV cell and typed values in JSON meet here. It must not know files or stores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from creditdesk.ledger.rules.amounts import round_amount
from creditdesk.schema.fields import (
    LARGEST_INTEGER,
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
    Unreadable,
    show_instant,
    show_scaled,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A value from a file; `rounded` when it had more decimal places than are kept (rule 3)."""

    value: Any
    rounded: bool = False


def nothing(kind: Field, *, cell: bool = False) -> Any:
    """What a field holds whose value a file leaves blank: a null, or an empty CSV cell."""
    if cell or not kind.nullable or isinstance(kind, Collection):
        return kind.empty
    return None


def take(kind: Field, raw: object) -> Taken:
    """The inner value of a file's value; Unreadable when it is not of this kind.

    A decimal with more places than its kind keeps is rounded half away from zero (rule 3).
    """
    if raw is None or (raw == "" and not isinstance(kind, Text)):
        return Taken(nothing(kind))
    if isinstance(kind, Scaled):
        return _scaled(kind, raw)
    if isinstance(kind, Object) and isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError:
            raise Unreadable("must be an object") from None
    return Taken(kind.read(raw))


def _whole(kind: Any, raw: object) -> Any:
    return raw if type(raw) is int and kind.least <= raw <= LARGEST_INTEGER else ...


def _id(_kind: Any, raw: object) -> Any:
    return raw if type(raw) is int and 0 < raw <= LARGEST_INTEGER else ...


def _yes_or_no(_kind: Any, raw: object) -> Any:
    return raw if raw is True or raw is False else ...


def _member(kind: Any, raw: object) -> Any:
    return raw if type(raw) is int and raw in kind.of._value2member_map_ else ...


def _guid(_kind: Any, raw: object) -> Any:
    return raw if type(raw) is str and _GUID.fullmatch(raw) else ...


def _instant(_kind: Any, raw: object) -> Any:
    # Only the one form that is exported: other texts of this length mean other dates, or none.
    if type(raw) is not str or len(raw) != 20:
        return ...
    if not (raw[4] == raw[7] == "-" and raw[10] == "T" and raw[19] == "Z"):
        return ...
    try:
        return datetime.fromisoformat(raw)
    except ValueError:
        return ...


PLAIN: Final[dict[type[Field], Callable[[Any, object], Any]]] = {
    Integer: _whole,
    Reference: _id,
    Boolean: _yes_or_no,
    Enum: _member,
    Guid: _guid,
    DateTime: _instant,
}
"""What most values of these kinds are read by: the inner value, or `...` where `take` must look."""

_GUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _scaled(kind: Scaled, raw: object) -> Taken:
    if isinstance(raw, bool) or not isinstance(raw, int | str | float | Decimal):
        raise Unreadable("must be a number")
    try:
        number = raw if isinstance(raw, Decimal) else Decimal(str(raw).strip())
    except InvalidOperation:
        raise Unreadable("must be a number") from None
    if not number.is_finite() or number.adjusted() > 18 or number.adjusted() < -40:
        raise Unreadable("must be a number of ordinary size")
    numerator, denominator = number.as_integer_ratio()
    scaled = numerator * 10**kind.places
    whole, rest = divmod(scaled, denominator)
    if rest:
        whole = round_amount(Fraction(scaled, denominator), 4)
    if abs(whole) > LARGEST_INTEGER:
        raise Unreadable("is too large")
    return Taken(whole, rounded=bool(rest))


def _as_it_is(value: Any) -> Any:
    return value


JSON_VALUES: Final[dict[type[Field], Callable[[Any], Any]]] = {
    Text: _as_it_is,
    Guid: _as_it_is,
    Integer: _as_it_is,
    Money: lambda value: Decimal(show_scaled(value, Money.places)),
    Number: lambda value: Decimal(show_scaled(value, Number.places)),
    Boolean: _as_it_is,
    Enum: _as_it_is,
    DateTime: show_instant,
    Object: _as_it_is,
    Reference: _as_it_is,
    Collection: list,
}

PLAIN_IN_JSON: Final = frozenset(kind for kind, show in JSON_VALUES.items() if show is _as_it_is)
"""The kinds whose inner values are what JSON carries."""


def to_json(kind: Field, value: Any) -> Any:
    """What JSON carries for an inner value; decimals stay exact."""
    return None if value is None else JSON_VALUES[type(kind)](value)


def to_cell(kind: Field, value: Any) -> str:
    """The text of a CSV cell; what is absent is an empty cell."""
    shown = to_json(kind, value)
    if shown is None:
        return ""
    if isinstance(shown, bool):
        return "true" if shown else "false"
    if isinstance(shown, list | dict):
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    if isinstance(shown, Decimal):
        return f"{shown:f}"
    return str(shown)
