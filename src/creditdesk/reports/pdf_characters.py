"""Characters that a PDF cannot show: the fonts lack them, or PDF/A does not allow them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

MAX_MISSING: Final = 100
"""The greatest number of different characters to replace; a report with more is unreadable as PDF."""
REPLACEMENT: Final = "□"


class TooManyMissing(ValueError):
    """More than `MAX_MISSING` characters cannot be shown."""


def missing_characters(value: Any, can_show: Callable[[str], bool]) -> set[str]:
    """The characters in the texts of a JSON value that cannot be shown. Raises TooManyMissing.

    `can_show` says whether every character of a text can be shown.
    """
    text = "".join(_texts(value))
    missing: set[str] = set()
    # Bisects the text: a check costs a compilation, and most parts can be shown.
    groups = ["".join(sorted({each for each in text if not each.isascii() or not each.isprintable()}))]
    while groups:
        group = groups.pop()
        if not group or can_show(group):
            continue
        if len(group) > 1:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
            continue
        missing.add(group)
        if len(missing) > MAX_MISSING:
            raise TooManyMissing
    return missing


def replace_characters(value: Any, characters: set[str]) -> Any:
    """A JSON value with each of the characters replaced in every text."""
    table = str.maketrans(dict.fromkeys(characters, REPLACEMENT))

    def replaced(each: Any) -> Any:
        if isinstance(each, str):
            return each.translate(table)
        if isinstance(each, dict):
            return {name: replaced(inner) for name, inner in each.items()}
        return [replaced(inner) for inner in each] if isinstance(each, list | tuple) else each

    return replaced(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
