"""The preferences of a browser, in a cookie each: language, colours, density and location."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from babel import Locale, negotiate_locale
from starlette.requests import Request
from starlette.responses import Response

from creditdesk.console.numbers import record_number
from creditdesk.console.translations import SOURCE_LANGUAGE, languages

THEMES: Final = ("auto", "light", "dark")
DENSITIES: Final = ("comfortable", "compact")
_MAX_VALUE_LENGTH: Final = 40
_YEAR_SECONDS: Final = 365 * 24 * 3600
_PREFIX: Final = "creditdesk-"
PREFERENCE_NAMES: Final = ("language", "theme", "density", "location")


@dataclass(frozen=True, slots=True)
class Preferences:
    """`location_id` is the location that lists are limited to; None for all of the user's."""

    language: str
    locale: Locale
    theme: str
    density: str
    location_id: int | None


def read_preferences(request: Request) -> Preferences:
    """The preferences of a request; unknown values count as absent."""
    language = _cookie(request, "language")
    accepted = request.headers.get("accept-language", "")
    if language not in languages():
        language = negotiate_locale(_accepted(accepted), languages(), sep="-") or SOURCE_LANGUAGE
    location = _cookie(request, "location")
    theme, density = _cookie(request, "theme"), _cookie(request, "density")
    return Preferences(
        language,
        _locale(language, accepted),
        theme if theme in THEMES else THEMES[0],
        density if density in DENSITIES else DENSITIES[0],
        record_number(location),
    )


def save_preferences(
    response: Response, request: Request, form: Mapping[str, object], names: Iterable[str] = PREFERENCE_NAMES
) -> None:
    """Stores those of the named preferences that the form has, for a year."""
    for name in names:
        if name in form:
            response.set_cookie(
                _PREFIX + name, str(form[name])[:_MAX_VALUE_LENGTH], _YEAR_SECONDS, path="/",
                secure=request.url.scheme == "https", httponly=True, samesite="lax",
            )  # fmt: skip


def _cookie(request: Request, name: str) -> str:
    return request.cookies.get(_PREFIX + name, "")


def _accepted(header: str) -> list[str]:
    """The language tags of an Accept-Language header, in its order, and their languages."""
    tags = [part.partition(";")[0].strip() for part in header.split(",")]
    return [each for tag in tags if tag for each in (tag, tag.partition("-")[0])]


def _locale(language: str, accepted: str) -> Locale:
    """The first accepted region of the language: `en-GB`, for example, decides how dates are written."""
    for tag in _accepted(accepted):
        if tag.partition("-")[0].lower() == language:
            try:
                return Locale.parse(tag, sep="-")
            except ValueError:
                continue
    return Locale.parse({"en": "en_GB"}.get(language, language))
