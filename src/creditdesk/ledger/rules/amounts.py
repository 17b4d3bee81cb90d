"""Exact amounts: rounding to the digits of a currency, rounding down, and formatting.

An amount is a whole number of a credit's smallest unit: ten-thousandths of the currency for money,
uses for time and printing.
"""

from fractions import Fraction
from functools import lru_cache
from math import floor

from babel.numbers import get_currency_precision

Amount = int

DECIMALS = 4
AMOUNT_SCALE = 10**DECIMALS


def round_amount(value: Fraction | int, digits: int) -> Amount:
    """Rounds to a currency's digits, half away from zero (rule 3).

    value: ten-thousandths of the currency unit. digits: 0 (JPY), 2 (GBP) or 3 (KWD); uses are
    rounded with 4 digits, which is to the whole use. Returns ten-thousandths. Nothing is rounded
    anywhere else. Raises ValueError for digits outside 0 to 4.
    """
    step = smallest_amount(digits)
    nearest = floor(abs(Fraction(value)) / step + Fraction(1, 2)) * step
    return nearest if value >= 0 else -nearest


def round_to_currency(value: Fraction | int, code: str) -> Amount:
    """Rounds ten-thousandths to the digits of the currency, half away from zero (rule 3)."""
    return round_amount(value, currency_digits(code))


def floor_amount(amount: Amount, digits: int) -> Amount:
    """The largest amount with at most `digits` decimals that a balance of `amount` can pay.

    A balance below zero pays nothing. Raises ValueError for digits outside 0 to 4.
    """
    step = smallest_amount(digits)
    return max(0, amount) // step * step


def smallest_amount(digits: int) -> Amount:
    """The smallest amount of a currency with these digits, in ten-thousandths."""
    if not 0 <= digits <= DECIMALS:
        raise ValueError(f"a currency has 0 to {DECIMALS} digits, not {digits}")
    smallest: Amount = 10 ** (DECIMALS - digits)
    return smallest


@lru_cache(maxsize=512)
def currency_digits(code: str) -> int:
    """0 for JPY, 2 for GBP, 3 for KWD, as in CLDR; 2 for an unknown or empty code."""
    return min(get_currency_precision(code.strip().upper()), DECIMALS)


def parse_money(text: str) -> Amount:
    """The ten-thousandths that `format_money` wrote; fewer decimals are read too."""
    whole, _, decimals = text.removeprefix("-").partition(".")
    amount: Amount = int(whole) * AMOUNT_SCALE + int(decimals.ljust(DECIMALS, "0")[:DECIMALS])
    return -amount if text.startswith("-") else amount


def format_money(amount: Amount) -> str:
    """Formats ten-thousandths with four decimals: `125000` is `"12.5000"`."""
    sign = "-" if amount < 0 else ""
    units, steps = divmod(abs(amount), AMOUNT_SCALE)
    return f"{sign}{units}.{steps:0{DECIMALS}d}"
