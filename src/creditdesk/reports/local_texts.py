"""Numbers, days and instants in the notation of a language; in English that of the API, with grouped digits."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from babel.dates import format_skeleton
from babel.numbers import get_decimal_symbol, get_group_symbol

from creditdesk.schema.conversions import ParseError, parse_datetime

_ISO_LANGUAGE: Final = "en"
_DECIMAL: Final = re.compile(r"(-?[0-9]+\.[0-9]+)( [A-Z]{3})?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT: Final = re.compile(rf"{_DAY.pattern}T([0-9:.]+)Z")


def local_number(number: Decimal, locale: str) -> str:
    """The exact number with grouped digits and a minus sign instead of a hyphen: `1.234,50` in Spanish."""
    symbols: dict[str, str | int | None] = {
        ",": get_group_symbol(locale),
        ".": get_decimal_symbol(locale),
        "-": "−",
    }
    return f"{number:,f}".translate(str.maketrans(symbols))


def local_day(day: date, locale: str) -> str:
    """`1 ene 2026` in Spanish, `2026-01-01` in English."""
    return f"{day:%Y-%m-%d}" if locale == _ISO_LANGUAGE else format_skeleton("yMMMd", day, locale=locale)


def local_minute(instant: datetime, locale: str) -> str:
    """`1 ene 2026, 12:30` in Spanish, `2026-01-01 12:30` in English, in the time zone of the instant."""
    separator = " " if locale == _ISO_LANGUAGE else ", "
    return f"{local_day(instant, locale)}{separator}{instant:%H:%M}"


def local_value(text: str, locale: str) -> str | None:
    """Localises a text of the API that is a decimal number, with or without a currency, a day or an instant in UTC.

    Returns None for any other text. Whole numbers stay as they are, because they may be identifiers.
    """
    if number := _DECIMAL.fullmatch(text):
        return local_number(Decimal(number[1]), locale) + (number[2] or "")
    try:
        if _DAY.fullmatch(text):
            return local_day(date.fromisoformat(text), locale)
        if match := _INSTANT.fullmatch(text):
            time = match[1].replace(".", get_decimal_symbol(locale))
            return f"{local_day(parse_datetime(text)[0], locale)}, {time} UTC"
    except (ValueError, ParseError):
        return None
    return None
