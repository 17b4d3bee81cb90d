"""Numbers of records in addresses and forms, where people write anything."""

from __future__ import annotations

from typing import Final

from starlette.convertors import IntegerConvertor

MAX_NUMBER_DIGITS: Final = 18
"""Every number of so many digits is one that the database can hold."""


def record_number(text: object) -> int | None:
    """The number that a text is: digits 0 to 9, at most MAX_NUMBER_DIGITS; None for any other text."""
    digits = str(text or "").strip()
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= MAX_NUMBER_DIGITS
    return int(digits) if is_number else None


class RecordNumberConvertor(IntegerConvertor):
    """The number of a record in a path: one with more digits is no page."""

    regex = f"[0-9]{{1,{MAX_NUMBER_DIGITS}}}"
