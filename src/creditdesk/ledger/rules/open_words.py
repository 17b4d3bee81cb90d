"""Coded words that later versions add to: an older program reads, keeps and shows those it does not know."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OpenWord(StrEnum):
    """A list of coded words that is open to words of other versions.

    A word outside the list becomes a value that equals no member and keeps its text, so that a record
    which is read and written again does not change. Input is checked against the members.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word
