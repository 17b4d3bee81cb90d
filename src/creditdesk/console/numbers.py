"""Parses numbers of records in addresses and forms, where people may enter anything."""

from __future__ import annotations

from typing import Final

from starlette.convertors import IntegerConvertor

MAX_NUMBER_DIGITS: Final = 18
"""The most digits of which the database can store every number."""


def record_number(text: object) -> int | None:
    """The number in a text of at most MAX_NUMBER_DIGITS ASCII digits; None for any other text."""
    digits = str(text or "").strip()
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= MAX_NUMBER_DIGITS
    return int(digits) if is_number else None


class RecordNumberConvertor(IntegerConvertor):
    """The number of a record in a path; a path with more digits is not found."""

    regex = f"[0-9]{{1,{MAX_NUMBER_DIGITS}}}"
