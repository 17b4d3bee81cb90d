"""The languages of the pages: one gettext catalogue each, English being the text in the source.

Another language is one more file in `locale/`.
"""

from __future__ import annotations

import re
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from creditdesk.reports.local_texts import local_value

LOCALE_FOLDER: Final = Path(__file__).with_name("locale")
SOURCE_LANGUAGE: Final = "en"
VALUE: Final = "{}"
"""The place of a value in the key of a text that the API writes."""


@cache
def languages() -> tuple[str, ...]:
    """The codes of all languages, English first."""
    return (SOURCE_LANGUAGE, *sorted(path.stem for path in LOCALE_FOLDER.glob("*.po")))


def language_name(code: str) -> str:
    """The language's name in itself, such as `español`."""
    return Locale.parse(code).get_display_name() or code


@cache
def translations(language: str) -> NullTranslations:
    """The catalogue of a language; English returns its keys."""
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, _catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def _catalogue(language: str) -> Catalog:
    with (LOCALE_FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def translated_message(text: str, language: str) -> str:
    """A text of the API in a language; one that no key stands for stays English.

    Keys of texts with values have `{}` for each of them, as they are written in the source; so the text itself is
    recognised, and the API stays English for all its clients. Decimal numbers, days and instants among them are
    written as in the language.
    """
    if language == SOURCE_LANGUAGE or not text:
        return text
    if (value := local_value(text, language)) is not None:
        return value
    found = translations(language).gettext(text)
    if found != text:
        return found
    for pattern, template in _templates(language):
        if match := pattern.fullmatch(text):
            return template.format(*(translated_message(each, language) for each in match.groups()))
    return text


@cache
def _templates(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """The keys with values as patterns, those with most words first: they say most about a text."""
    keys = [(str(each.id), str(each.string)) for each in _catalogue(language) if VALUE in each.id]
    keys.sort(key=lambda each: (-len(each[0].replace(VALUE, "")), each[0]))
    return tuple((re.compile(re.escape(key).replace(re.escape(VALUE), "(.+)"), re.DOTALL), text) for key, text in keys)


def mark(text: str) -> str:
    """Marks a text for the catalogues; it is translated where it is shown."""
    return text
