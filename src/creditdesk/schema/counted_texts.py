"""Texts with a number, in the singular or the plural."""

from __future__ import annotations


def counted_text(count: int, one: str, many: str, *values: object) -> str:
    """`one` for a count of 1, else `many`, with `values` (by default the count) in place of its `{}`.

    Callers pass both texts as literals: together they are one key of the translations.
    """
    return (one if count == 1 else many).format(*(values or (count,)))
