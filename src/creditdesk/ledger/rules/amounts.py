"""Exact amounts: how a share of money becomes an amount, and how a whole becomes parts.

An amount is a whole number of a credit's own smallest step: ten-thousandths of the currency
for money, uses for time and printing. This module must not know what an amount is paid for.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import floor

Amount = int

DECIMALS = 4
AMOUNT_SCALE = 10**DECIMALS


def round_amount(value: Fraction | int, digits: int) -> Amount:
    """The amount nearest to `value` that has at most `digits` decimals (rule 3).

    `value` and the result are in ten-thousandths of the currency; halves go away from zero.
    Uses are rounded with `digits=4`, which is to the whole use. This is the only place where
    anything is rounded. Raises ValueError unless `0 <= digits <= 4`.
    """
    if not 0 <= digits <= DECIMALS:
        raise ValueError(f"a currency has 0 to {DECIMALS} digits, not {digits}")
    step: int = 10 ** (DECIMALS - digits)
    nearest = floor(abs(Fraction(value)) / step + Fraction(1, 2)) * step
    return nearest if value >= 0 else -nearest


def split_proportionally(total: Amount, weights: Sequence[int], digits: int) -> tuple[Amount, ...]:
    """`total` cut in proportion to `weights`, in their order; the parts sum to `total` (rule 3).

    Each part is rounded to the currency's digits, but never past what is left, so no part ever
    has the other sign; the last part that weighs anything takes the residual.
    Raises ValueError when a weight is negative or all are zero.
    """
    if any(weight < 0 for weight in weights) or not any(weights):
        raise ValueError("weights are never negative and at least one is positive")
    if total < 0:
        return tuple(-part for part in split_proportionally(-total, weights, digits))
    whole = sum(weights)
    last = max(place for place, weight in enumerate(weights) if weight)
    parts = [0] * len(weights)
    left = total
    for place, weight in enumerate(weights[:last]):
        parts[place] = min(round_amount(Fraction(total * weight, whole), digits), left)
        left -= parts[place]
    parts[last] = left
    return tuple(parts)


def format_money(amount: Amount) -> str:
    """Ten-thousandths as a decimal with all four places: `125000` is `"12.5000"`."""
    sign = "-" if amount < 0 else ""
    units, steps = divmod(abs(amount), AMOUNT_SCALE)
    return f"{sign}{units}.{steps:0{DECIMALS}d}"
