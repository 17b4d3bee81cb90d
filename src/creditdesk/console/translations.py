"""The languages of the pages: one gettext catalogue each, English being the text in the source.

Another language is one more file in `locale/`.
"""

from __future__ import annotations

from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE_FOLDER: Final = Path(__file__).with_name("locale")
SOURCE_LANGUAGE: Final = "en"


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
    with (LOCALE_FOLDER / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def mark(text: str) -> str:
    """Marks a text for the catalogues; it is translated where it is shown."""
    return text
