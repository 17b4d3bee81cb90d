"""The texts of a page that stayed English."""

from __future__ import annotations

import re
from functools import cache
from html import unescape

from babel.messages.pofile import read_po

from creditdesk.console.translations import LOCALE_FOLDER

_TEXT = re.compile(r'>([^<>]+)<|(?:aria-label|title|placeholder|alt)="([^"]+)"')
_CODE = re.compile(r"<code\b.*?</code>", re.DOTALL)


def untranslated_texts(page: str, language: str) -> set[str]:
    """The texts and labels of a page that the catalogue of the language has in other words; code has no language."""
    shown = {" ".join(unescape(text or label).split()) for text, label in _TEXT.findall(_CODE.sub("", page))}
    return shown & _english(language)


@cache
def _english(language: str) -> frozenset[str]:
    with (LOCALE_FOLDER / f"{language}.po").open("rb") as file:
        return frozenset(
            each.id for each in read_po(file) if isinstance(each.id, str) and each.id and each.id != each.string
        )
