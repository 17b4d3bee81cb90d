"""Amounts: one rounding, and parts that always sum to the whole (rule 3)."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.amounts import format_money, round_amount, split_proportionally

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
def test_rule_3_rounds_to_the_currencys_digits_half_away_from_zero(
    value: Fraction, digits: int, rounded: int
) -> None:
    assert round_amount(value, digits) == rounded
    assert type(round_amount(value, digits)) is int


@pytest.mark.parametrize("digits", [-1, 5])
def test_rule_3_no_currency_has_more_than_four_digits_or_fewer_than_none(digits: int) -> None:
    with pytest.raises(ValueError, match="0 to 4 digits"):
        round_amount(Fraction(1), digits)


@pytest.mark.parametrize(
    ("total", "weights", "digits", "parts"),
    [
        (100000, [1, 1, 1], 2, (33300, 33300, 33400)),
        (-100000, [1, 1, 1], 2, (-33300, -33300, -33400)),
        (100, [1, 1], 2, (100, 0)),
        (200, [1, 1, 1, 1], 2, (100, 100, 0, 0)),
        (100, [1, 1], 4, (50, 50)),
        (49, [1, 0], 2, (49, 0)),
        (100000, [0, 3, 0, 1, 0], 2, (0, 75000, 0, 25000, 0)),
        (123456, [1, 1], 2, (61700, 61756)),
        (10, [1], 0, (10,)),
        (0, [2, 5], 2, (0, 0)),
    ],
)
def test_rule_3_the_last_part_takes_the_residual_and_none_passes_zero(
    total: int, weights: list[int], digits: int, parts: tuple[int, ...]
) -> None:
    assert split_proportionally(total, weights, digits) == parts


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [1, -1], [-1, 2]])
def test_a_split_needs_something_to_go_by(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        split_proportionally(100, weights, 2)


@proven
@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(any),
    st.integers(0, 4),
)
def test_rule_3_parts_always_sum_to_the_whole(total: int, weights: list[int], digits: int) -> None:
    parts = split_proportionally(total, weights, digits)

    assert sum(parts) == total
    assert all(part * total >= 0 for part in parts)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@proven
@given(st.fractions(-(10**7), 10**7), st.integers(0, 4))
def test_rule_3_rounding_never_moves_by_more_than_half_a_step(value: Fraction, digits: int) -> None:
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
def test_money_reads_as_a_decimal_with_four_places(amount: int, text: str) -> None:
    assert format_money(amount) == text
