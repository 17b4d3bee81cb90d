"""The languages of the pages: one gettext catalogue each, English being the text in the source.

Another language is one more file in `locale/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from operator import itemgetter
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
"""The placeholder of a value in the key of a text of the API."""
_DISTINCT: Final = 10
"""Characters of its own from which a key with values is recognised by them alone."""
_CODE: Final = re.compile(r"\S*[0-9]\S*|[A-Z]{3}")
"""A value that is not free text: a number, an identifier, or a currency."""


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


@dataclass(frozen=True, slots=True)
class _Template:
    """A key with values: a pattern for each of its forms, and whether its own words are enough to recognise a text."""

    keys: tuple[str, ...]
    text: str
    patterns: tuple[re.Pattern[str], ...]
    is_distinct: bool

    def match(self, text: str) -> tuple[str, ...] | None:
        """The values of a text of this key; None for another text."""
        return next((found.groups() for each in self.patterns if (found := each.fullmatch(text))), None)

    def translation(self, values: tuple[str, ...], language: str) -> str:
        """The text in a language, in the form for the first whole number among the values."""
        if len(self.keys) == 1:
            return self.text
        number = next((int(value) for value in values if value.isascii() and value.isdecimal()), 0)
        return translations(language).ngettext(self.keys[0], self.keys[1], number)


def translated_message(text: str, language: str, locale: str = "") -> str:
    """Translates a text of the API; a text without a matching key stays English.

    Keys have `{}` for each value, as in the source, so the text itself is recognised and the API stays English for all
    clients. A key of few words matches only texts whose values are numbers, codes or known texts, so that it does not
    match what people write. Decimal numbers, days and instants among the values are written in the notation of the
    locale, by default that of the language.
    """
    if language == SOURCE_LANGUAGE or not text:
        return text
    if (value := local_value(text, locale or language)) is not None:
        return value
    found = translations(language).gettext(text)
    if found != text:
        return found
    for template in _templates(language):
        values = template.match(text)
        if values is None:
            continue
        shown = [translated_message(each, language, locale) for each in values]
        if template.is_distinct or all(map(_is_known, values, shown)):
            return template.translation(values, language).format(*shown)
    return text


def _is_known(value: str, shown: str) -> bool:
    return shown != value or _CODE.fullmatch(value) is not None


@cache
def _templates(language: str) -> tuple[_Template, ...]:
    """The keys with values, those with most words first: they say most about a text.

    Keys that begin with a word come before those that begin with a value, which may be the beginning of another text.
    """
    found = []
    for each in _catalogue(language):
        keys = (each.id,) if isinstance(each.id, str) else tuple(each.id)
        if VALUE in keys[0]:
            text = str(each.string)
            words = min(len(key.replace(VALUE, "")) for key in keys)
            rank = (keys[0].startswith(VALUE), -words, keys)
            found.append((rank, _Template(keys, text, tuple(map(_pattern_of, keys)), words >= _DISTINCT)))
    found.sort(key=itemgetter(0))
    return tuple(template for _, template in found)


def _pattern_of(key: str) -> re.Pattern[str]:
    return re.compile(re.escape(key).replace(re.escape(VALUE), "(.+?)"), re.DOTALL)


def mark(text: str) -> str:
    """Marks a text for the catalogues; it is translated where it is shown."""
    return text
