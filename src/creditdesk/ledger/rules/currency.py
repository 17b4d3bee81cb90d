"""Currency digits: how many decimals the amounts of a currency have (rule 3)."""

from fractions import Fraction
from functools import lru_cache

from babel.numbers import get_currency_precision

from creditdesk.ledger.rules.amounts import DECIMALS, Amount, round_amount


@lru_cache(maxsize=512)
def currency_digits(code: str) -> int:
    """0 for JPY, 2 for GBP, 3 for KWD, as in CLDR; 2 for an unknown or empty code."""
    return min(get_currency_precision(code.strip().upper()), DECIMALS)


def round_to_currency(value: Fraction | int, code: str) -> Amount:
    """Rounds ten-thousandths to the digits of the currency, half away from zero (rule 3)."""
    return round_amount(value, currency_digits(code))
