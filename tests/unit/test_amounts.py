"""Amounts: rounding to a currency's digits, rounding down, and formatting (rule 3)."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.amounts import currency_digits, floor_amount, format_money, round_amount, round_to_currency

proven = settings(deadline=None, max_examples=200)


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [
        (Fraction(10049), 2, 10000),
        (Fraction(10050), 2, 10100),
        (Fraction(10051), 2, 10100),
        (Fraction(100499, 10), 2, 10000),
        (Fraction(-10050), 2, -10100),
        (Fraction(-10049), 2, -10000),
        (Fraction(-1, 2), 4, -1),
        (Fraction(1, 2), 4, 1),
        (Fraction(49, 100), 4, 0),
        (Fraction(5), 3, 10),
        (Fraction(4), 3, 0),
        (Fraction(5000), 0, 10000),
        (Fraction(4999), 0, 0),
        (Fraction(50000), 0, 50000),
        (Fraction(500), 1, 1000),
        (Fraction(0), 2, 0),
        (7, 4, 7),
    ],
)
def test_rule_3_amounts_round_half_away_from_zero(value: Fraction, digits: int, rounded: int) -> None:
    assert round_amount(value, digits) == rounded
    assert type(round_amount(value, digits)) is int


@pytest.mark.parametrize("digits", [-1, 5])
def test_rule_3_digits_outside_0_to_4_are_rejected(digits: int) -> None:
    with pytest.raises(ValueError, match="0 to 4 digits"):
        round_amount(Fraction(1), digits)
    with pytest.raises(ValueError, match="0 to 4 digits"):
        floor_amount(1, digits)


@pytest.mark.parametrize(
    ("amount", "digits", "payable"),
    [
        (10_9999, 0, 10_0000),
        (10_9999, 2, 10_9900),
        (10_9999, 3, 10_9990),
        (10_9999, 4, 10_9999),
        (5000, 0, 0),
        (-1, 2, 0),
    ],
)
def test_rule_3_payable_balance_is_rounded_down(amount: int, digits: int, payable: int) -> None:
    assert floor_amount(amount, digits) == payable


@pytest.mark.parametrize(
    ("code", "digits"),
    [("JPY", 0), ("GBP", 2), ("eur", 2), ("KWD", 3), ("CLF", 4), ("", 2), ("unknown", 2)],
)
def test_rule_3_currency_digits_come_from_cldr(code: str, digits: int) -> None:
    assert currency_digits(code) == digits


def test_rule_3_amounts_round_to_their_currency() -> None:
    amount = Fraction(12_3456)

    assert round_to_currency(amount, "JPY") == 12_0000
    assert round_to_currency(amount, "GBP") == 12_3500
    assert round_to_currency(amount, "KWD") == 12_3460


@proven
@given(st.fractions(-(10**7), 10**7), st.integers(0, 4))
def test_rule_3_rounding_changes_an_amount_by_at_most_half_a_unit(value: Fraction, digits: int) -> None:
    step = 10 ** (4 - digits)
    rounded = round_amount(value, digits)

    assert rounded % step == 0
    assert 2 * abs(rounded - value) <= step
    assert round_amount(-value, digits) == -rounded


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.0000"),
        (1, "0.0001"),
        (-1, "-0.0001"),
        (125000, "12.5000"),
        (-125001, "-12.5001"),
        (9999, "0.9999"),
        (10000, "1.0000"),
    ],
)
def test_money_is_formatted_with_four_decimals(amount: int, text: str) -> None:
    assert format_money(amount) == text
