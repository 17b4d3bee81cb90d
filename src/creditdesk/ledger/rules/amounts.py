"""Exact amounts: rounding, rounding down, and formatting.

An amount is a whole number of a credit's smallest unit: ten-thousandths of the currency for money,
uses for time and printing.
"""

from fractions import Fraction
from math import floor

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
