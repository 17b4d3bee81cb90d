"""Protects the cells of exported files from spreadsheets, which compute some texts and round long numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

MAX_SPREADSHEET_DIGITS: Final = 15
"""The precision of a spreadsheet's numbers, in significant digits."""

_FORMULA_STARTS: Final = tuple("=+-@\t\r\n＝＋－＠")


def inert_text(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would read it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def fits_spreadsheet(number: int | Decimal) -> bool:
    """Whether a spreadsheet keeps every digit of the number; others have to be written as text."""
    return len(Decimal(number).as_tuple().digits) <= MAX_SPREADSHEET_DIGITS
