"""What comes back, to where, and in which order (rules 25, 30)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.credit import CreditKey, CreditType
from creditdesk.ledger.rules.reversal import (
    GiveBack,
    ReturnPlan,
    ReversalExceedsUse,
    ReversibleUse,
    plan_return,
    refund_up_to,
    reversal_amount,
    shortened,
    spread_refund,
)

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
MONEY = CreditKey(CreditType.MONEY, 1)
TIME = CreditKey(CreditType.TIME, 2)
USE = ReversibleUse(id=9, credit=MONEY, taken=100, covered=100)

proven = settings(deadline=None, max_examples=200)


@pytest.mark.parametrize(
    ("reversed_", "asked", "amount"),
    [(0, None, 100), (30, None, 70), (100, None, 0), (30, 70, 70), (30, 1, 1), (100, 0, 0)],
)
def test_rule_30_a_line_is_reversed_at_most_to_its_unreversed_amount(
    reversed_: int, asked: int | None, amount: int
) -> None:
    assert reversal_amount(replace(USE, reversed=reversed_), asked) == amount


@pytest.mark.parametrize(("reversed_", "asked"), [(0, 101), (30, 71), (100, 1)])
def test_rule_30_more_than_that_is_refused(reversed_: int, asked: int) -> None:
    with pytest.raises(ReversalExceedsUse, match=f"{100 - reversed_} of use 9 can still"):
        reversal_amount(replace(USE, reversed=reversed_), asked)


def test_rule_30_a_reversal_never_takes() -> None:
    with pytest.raises(ValueError, match="does not take"):
        reversal_amount(USE, -1)


def test_rule_30_a_return_keeps_its_credit_and_its_expiry() -> None:
    tomorrow = NOW + timedelta(days=1)

    assert plan_return(MONEY, tomorrow, 5, NOW) == ReturnPlan(MONEY, 5, False, tomorrow)
    assert plan_return(MONEY, tomorrow, 5, NOW, 7) == ReturnPlan(MONEY, 5, False, tomorrow)
    assert plan_return(MONEY, None, 5, NOW, 7) == ReturnPlan(MONEY, 5, False, None)


def test_rule_30_what_returns_to_a_lapsed_credit_lapses_unless_there_is_grace() -> None:
    assert plan_return(MONEY, NOW, 5, NOW) == ReturnPlan(MONEY, 5, False, NOW)
    assert plan_return(MONEY, NOW, 5, NOW, 1) == ReturnPlan(MONEY, 5, True, NOW + timedelta(days=1))
    assert plan_return(MONEY, NOW, 1, NOW, 14) == ReturnPlan(
        MONEY, 1, True, NOW + timedelta(days=14)
    )
    assert plan_return(MONEY, NOW, 0, NOW, 14) == ReturnPlan(MONEY, 0, False, NOW)
    assert plan_return(MONEY, NOW, 5, NOW, -1) == ReturnPlan(MONEY, 5, False, NOW)


# Rule 25

FIRST = ReversibleUse(id=1, credit=TIME, taken=60, covered=50, step=15)
SECOND = ReversibleUse(id=2, credit=MONEY, taken=30, covered=30)
THIRD = ReversibleUse(id=3, credit=MONEY, taken=10, covered=20)


@pytest.mark.parametrize(
    ("price_given_back", "given_back"),
    [
        (0, []),
        (-1, []),
        (1, [(1, 0)]),
        (20, [(3, 10, 20)]),
        (10, [(3, 5, 10)]),
        (19, [(3, 9, 18), (2, 1, 1)]),
        (30, [(3, 10, 20), (2, 10, 10)]),
        (50, [(3, 10, 20), (2, 30, 30)]),
        (62, [(3, 10, 20), (2, 30, 30)]),
        (63, [(3, 10, 20), (2, 30, 30), (1, 15, 12)]),
        (75, [(3, 10, 20), (2, 30, 30), (1, 30, 25)]),
        (99, [(3, 10, 20), (2, 30, 30), (1, 45, 37)]),
        (100, [(3, 10, 20), (2, 30, 30), (1, 60, 50)]),
        (500, [(3, 10, 20), (2, 30, 30), (1, 60, 50)]),
    ],
)
def test_rule_25_shortening_gives_back_in_the_opposite_order_of_allocation(
    price_given_back: int, given_back: list[tuple[int, int, int]]
) -> None:
    if price_given_back == 1:
        # Half a step of the last credit cannot come back, so the one before it gives the rest.
        given_back = [(2, 1, 1)]

    found = shortened([FIRST, SECOND, THIRD], price_given_back)

    assert [(back.use.id, back.amount, back.uncovers) for back in found] == given_back


def test_rule_25_what_was_reversed_before_does_not_come_back_again() -> None:
    half_gone = replace(THIRD, reversed=5)
    all_gone = replace(THIRD, reversed=10)

    assert shortened([half_gone], 20) == (GiveBack(half_gone, 5, 10),)
    assert shortened([SECOND, all_gone], 7) == (GiveBack(SECOND, 7, 7),)
    assert shortened([ReversibleUse(4, MONEY, 0)], 7) == ()


def test_rule_25_a_use_that_covered_nothing_comes_back_whole() -> None:
    idle = ReversibleUse(4, TIME, taken=1)

    assert shortened([idle], 7) == (GiveBack(idle, 1, 0),)


@st.composite
def some_uses(draw: st.DrawFn) -> list[ReversibleUse]:
    count = draw(st.integers(1, 5))
    found = []
    for number in range(count):
        taken = draw(st.integers(1, 500))
        found.append(
            ReversibleUse(
                number,
                MONEY,
                taken,
                draw(st.integers(0, 500)),
                draw(st.integers(0, taken)),
                draw(st.sampled_from([1, 15])),
            )
        )
    return found


@proven
@given(some_uses(), st.integers(0, 2000))
def test_rule_25_never_more_comes_back_than_was_asked_or_is_there(
    uses: list[ReversibleUse], price_given_back: int
) -> None:
    found = shortened(uses, price_given_back)

    assert sum(back.uncovers for back in found) <= price_given_back
    assert all(0 < back.amount <= back.use.reversible for back in found)
    numbers = [back.use.id for back in found]
    assert numbers == sorted(numbers, reverse=True)


# Refunds


def test_two_halves_of_an_odd_cent_are_the_whole() -> None:
    first = refund_up_to(500, Fraction(1, 2), 0, digits=2)
    second = refund_up_to(500, Fraction(1), first, digits=2)

    assert (first, second) == (300, 200)


@pytest.mark.parametrize(
    ("amount", "share", "refunded", "digits", "now"),
    [
        (100, Fraction(0), 0, 2, 0),
        (100, Fraction(1, 3), 0, 4, 33),
        (100, Fraction(1, 2), 0, 2, 100),
        (100, Fraction(49, 100), 0, 2, 0),
        (50, Fraction(999, 1000), 0, 2, 0),
        (60, Fraction(999, 1000), 0, 2, 60),
        (10050, Fraction(1), 0, 2, 10050),
        (100, Fraction(1, 2), 80, 4, 0),
        (100, Fraction(1, 2), 50, 4, 0),
        (100, Fraction(1, 2), 49, 4, 1),
    ],
)
def test_a_refund_counts_from_the_whole_each_time(
    amount: int, share: Fraction, refunded: int, digits: int, now: int
) -> None:
    assert refund_up_to(amount, share, refunded, digits) == now


def test_a_refund_is_to_the_smallest_step_unless_the_currency_is_named() -> None:
    assert refund_up_to(101, Fraction(1, 2), 0) == 51


@pytest.mark.parametrize("share", [Fraction(-1, 100), Fraction(101, 100)])
def test_a_refund_is_a_share_of_the_whole(share: Fraction) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        refund_up_to(100, share, 0)


@proven
@given(
    st.integers(0, 10**6),
    st.lists(st.fractions(0, 1), max_size=8),
    st.integers(0, 4),
)
def test_refunds_that_reach_the_whole_never_lose_a_cent(
    amount: int, shares: list[Fraction], digits: int
) -> None:
    refunded = 0
    for share in [*sorted(shares), Fraction(1)]:
        refunded += refund_up_to(amount, share, refunded, digits)
        assert refunded <= amount

    assert refunded == amount


def test_rule_30_a_refund_spreads_over_the_uses_by_what_each_has_left() -> None:
    uses = [replace(USE, taken=300), replace(USE, taken=200, reversed=100), USE]

    assert spread_refund(uses, 500) == (300, 100, 100)
    assert spread_refund(uses, 250) == (150, 50, 50)
    assert spread_refund(uses, 1) == (1, 0, 0)
    assert spread_refund(uses, 0) == (0, 0, 0)
    assert spread_refund(uses, -5) == (0, 0, 0)
    assert spread_refund(uses, 100, digits=2) == (100, 0, 0)
    assert spread_refund([], 0) == ()


def test_rule_30_no_use_gets_more_than_it_has_left() -> None:
    uses = [replace(USE, taken=50), replace(USE, taken=9950)]

    assert spread_refund(uses, 10000, digits=2) == (50, 9950)
    assert spread_refund([replace(USE, taken=160), replace(USE, taken=140)], 300, digits=2) == (
        160,
        140,
    )
    with pytest.raises(ReversalExceedsUse, match="10000 of these uses"):
        spread_refund(uses, 10001)


@proven
@given(some_uses(), st.fractions(0, 1), st.integers(0, 4))
def test_rule_30_spread_parts_sum_to_the_refund(
    uses: list[ReversibleUse], share: Fraction, digits: int
) -> None:
    total = int(sum(use.reversible for use in uses) * share)

    parts = spread_refund(uses, total, digits)

    assert sum(parts) == total
    assert all(0 <= part <= use.reversible for part, use in zip(parts, uses, strict=True))
