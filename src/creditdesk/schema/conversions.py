"""Conversions between text and internal values: datetimes, exact decimals, case folding."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from unicodedata import normalize

_DATETIME_PATTERN: Final = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*"
    r"(Z|z|[+ -]\d\d:?\d\d)?$",
    re.ASCII,
)
_DECIMAL_PATTERN: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)?", re.ASCII)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class ParseError(ValueError):
    """A value that does not parse; the message says what was expected."""


def check_storable(text: str) -> None:
    """Raises ParseError if `text` has a NUL or an unpaired surrogate."""
    if _UNSTORABLE.search(text):
        raise ParseError("contains a character that cannot be stored")


def parse_datetime(text: str) -> tuple[datetime, timedelta]:
    """Parses a date or datetime; returns it in UTC, and the span that its precision covers.

    Accepts a date, or a time with minutes, seconds or a fraction; no zone (UTC), Z or an offset.
    A query string may have turned an offset's plus sign into a space. Raises ParseError.
    """
    match = _DATETIME_PATTERN.match(text.strip())
    if not match:
        raise ParseError("must be a date such as 2025-01-15T10:30:00Z")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        value = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
        if zone and zone not in "Zz":
            digits = zone[1:].replace(":", "")
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
            value = value + offset if zone[0] == "-" else value - offset
    except (ValueError, OverflowError):
        raise ParseError("is not a date of the calendar") from None
    if hour is None:
        return value, timedelta(days=1)
    if second is None:
        return value, timedelta(minutes=1)
    if fraction is None:
        return value, timedelta(seconds=1)
    return value, timedelta(microseconds=10 ** (6 - min(len(fraction), 6)))


def format_datetime(value: datetime) -> str:
    """Formats as `2025-01-15T10:30:00Z`, with a fraction only if the value has one."""
    text = value.isoformat()[:19]
    if value.microsecond:
        text += f".{value.microsecond:06d}".rstrip("0")
    return text + "Z"


def format_decimal(value: int, places: int) -> str:
    """The shortest exact decimal text of `value / 10**places`."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), 10**places)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{places}d}".rstrip("0")


def convert_column(values: Sequence[Any], convert: Callable[[Any], Any]) -> Sequence[Any]:
    """The converted values of a column; null stays null. Fast for columns with no nulls or only nulls."""
    nulls = values.count(None)
    if nulls == len(values):
        return values
    if not nulls:
        return list(map(convert, values))
    return [None if value is None else convert(value) for value in values]


def fold_case(text: str) -> str:
    """Case-folded text, as filters and sorts compare it on every engine."""
    return text.casefold()


def fold_compatible(text: str) -> str:
    """Case-folded text in normalization form NFKC, without surrounding spaces, to compare names as people read them.

    Case folding may undo the normalization, so it is applied again.
    """
    return normalize("NFKC", normalize("NFKC", text).casefold()).strip()


def parse_decimal(value: object, message: str) -> Decimal:
    """Parses a finite number of at most 40 ASCII digits. Raises ParseError, with `message` if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ParseError(message)
    if isinstance(value, Decimal):
        number = value
    else:
        text = str(value).strip()
        if isinstance(value, str) and not _DECIMAL_PATTERN.fullmatch(text):
            raise ParseError(message)
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ParseError(message) from None
    if not number.is_finite():
        raise ParseError(message)
    if number.adjusted() > 40 or len(number.as_tuple().digits) > 40:
        raise ParseError("is too large")
    return number
