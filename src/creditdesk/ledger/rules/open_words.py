"""Enumerations that later versions extend: an older program reads, keeps and shows unknown members."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OpenWord(StrEnum):
    """An enumeration of strings that is open to values of other versions.

    An unknown string becomes a value that equals no member and keeps its text, so that reading and writing a
    record does not change it. Input is checked against the members.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word
