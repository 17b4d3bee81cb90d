"""Formats amounts and instants for people: by locale, in a location's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final

from babel import Locale
from babel.core import get_global
from babel.dates import format_skeleton, format_timedelta
from babel.numbers import format_decimal, get_currency_precision
from markupsafe import Markup

from creditdesk.console.markup import time_element
from creditdesk.schema.conversions import ParseError, parse_datetime

ABSENT: Final = "–"
_MINUS: Final = "\u2212"
_MAX_PLACES: Final = 4
_DEFAULT_PLACES: Final = 2
_MAX_CACHED_TEXTS: Final = 16_384
"""The number of cached numbers and days: a page repeats them, and patterns are slow to apply."""


@dataclass(frozen=True, slots=True)
class Formatter:
    """Formats values of API records; instants are shown in the time zone `zone`."""

    locale: Locale
    zone: tzinfo
    now: datetime

    def money(self, value: object, currency: str | None = None, *, signed: bool = False) -> str:
        """An amount with the currency's digits, or with four where it has more; no symbol."""
        if value is None:
            return ABSENT
        amount = Decimal(str(value))
        places = currency_places(currency)
        if amount != round(amount, places):
            places = _MAX_PLACES
        return _with_sign(_decimal_text(abs(amount), _pattern(places), self.locale), amount, signed=signed)

    def units(self, value: object, *, signed: bool = False) -> str:
        """A whole number with its separators."""
        if value is None:
            return ABSENT
        number = Decimal(str(value))
        return _with_sign(_decimal_text(abs(number), "#,##0.########", self.locale), number, signed=signed)

    def amount(self, value: object, kind: str, currency: str | None = None, *, signed: bool = False) -> str:
        """An amount of a credit: money, or uses."""
        if kind == "money":
            return self.money(value, currency, signed=signed)
        return self.units(value, signed=signed)

    def instant(self, value: object, *, seconds: bool = False) -> Markup | str:
        """A `<time>` with the local time; UTC is in its title."""
        parsed = as_instant(value)
        if parsed is None:
            return ABSENT
        local = parsed.astimezone(self.zone)
        skeleton = "yMMMd" if local.year != self.now.astimezone(self.zone).year else "MMMd"
        day = _day_text(local.date(), skeleton, self.locale)
        return time_element(parsed.astimezone(UTC), f"{day}, {local:%H:%M:%S}" if seconds else f"{day}, {local:%H:%M}")

    def day(self, value: object) -> Markup | str:
        """A `<time>` with the local date."""
        parsed = as_instant(value)
        if parsed is None:
            return ABSENT
        return time_element(
            parsed.astimezone(UTC), _day_text(parsed.astimezone(self.zone).date(), "yMMMd", self.locale)
        )

    def distance(self, value: object) -> str:
        """How far an instant is from now, such as `in 2 days`."""
        parsed = as_instant(value)
        if parsed is None:
            return ABSENT
        return format_timedelta(parsed - self.now, add_direction=True, locale=self.locale)

    def is_past(self, value: object) -> bool:
        parsed = as_instant(value)
        return parsed is not None and parsed <= self.now

    def is_within(self, value: object, days: int) -> bool:
        """Whether an instant lies ahead and at most so many days away."""
        parsed = as_instant(value)
        return parsed is not None and self.now < parsed <= self.now + timedelta(days=days)


@lru_cache(_MAX_CACHED_TEXTS)
def _decimal_text(amount: Decimal, pattern: str, locale: Locale) -> str:
    return format_decimal(amount, pattern, locale)


@lru_cache(_MAX_CACHED_TEXTS)
def _day_text(day: date, skeleton: str, locale: Locale) -> str:
    return format_skeleton(skeleton, datetime(day.year, day.month, day.day, tzinfo=UTC), locale=locale)


def as_instant(value: object) -> datetime | None:
    """The instant of an API value; None if it is absent or unreadable."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not value:
        return None
    try:
        return parse_datetime(value)[0]
    except ParseError:
        return None


@cache
def currency_places(currency: str | None) -> int:
    """The digits of a currency after the point; 2 for an unknown one."""
    if not currency or currency not in get_global("all_currencies"):
        return _DEFAULT_PLACES
    return get_currency_precision(currency)


def _pattern(places: int) -> str:
    return "#,##0." + "0" * places if places else "#,##0"


def _with_sign(text: str, amount: Decimal, *, signed: bool) -> str:
    if amount < 0:
        return _MINUS + text
    return f"+{text}" if signed and amount > 0 else text
