"""Texts with a number, in the singular or the plural."""

from __future__ import annotations


def counted_text(count: int, one: str, many: str, *values: object) -> str:
    """`one` for a count of 1, else `many`, with the values for its `{}`; the count itself when they are left out.

    Both texts are literals where this is called: together they are one key of the catalogues.
    """
    return (one if count == 1 else many).format(*(values or (count,)))
