"""Assignment of baskets, compared with brute force (rules 3, 18, 21, 22)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules import assignment
from creditdesk.ledger.rules.offers import (
    Assignment,
    BasketProblem,
    Demand,
    MoneyOffer,
    UnitOffer,
)

proven = settings(deadline=None, max_examples=200)

Arc = tuple[int, int]


def assign(
    demands: Sequence[Demand],
    available: Sequence[int],
    money: Sequence[MoneyOffer],
    units: Sequence[UnitOffer] = (),
) -> Assignment:
    return assignment.assign(BasketProblem.of(demands, available, [*money, *units]))


def demands(*prices: int, digits: int = 4) -> list[Demand]:
    return [Demand(price, digits) for price in prices]


def arcs(assignment: Assignment) -> list[tuple[int, int, int, int]]:
    return [(s.credit, s.source, s.taken, s.covered) for s in assignment.shares]


# Money


def test_second_credit_moves_to_the_source_only_it_may_pay() -> None:
    # The first credit could pay either source, the second only the first one.
    money = [MoneyOffer(0, 0), MoneyOffer(0, 1), MoneyOffer(1, 0)]

    assert arcs(assign(demands(10, 10), [10, 10], money)) == [(1, 0, 10, 10), (0, 1, 10, 10)]


def test_the_first_credit_pays_all_it_can_and_the_second_the_rest() -> None:
    money = [MoneyOffer(1, 0), MoneyOffer(0, 0)]

    assert arcs(assign(demands(10), [6, 6], money)) == [(0, 0, 6, 6), (1, 0, 4, 4)]
    assert arcs(assign(demands(10), [10, 6], money)) == [(0, 0, 10, 10)]
    assert arcs(assign(demands(20), [6, 6], money)) == [(0, 0, 6, 6), (1, 0, 6, 6)]


def test_a_credit_pays_the_earlier_source_first() -> None:
    money = [MoneyOffer(0, 1), MoneyOffer(0, 0)]

    assert arcs(assign(demands(10, 10), [15], money)) == [(0, 0, 10, 10), (0, 1, 5, 5)]


def test_credits_make_room_along_a_chain() -> None:
    money = [MoneyOffer(c, s) for c, s in [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0)]]

    assert arcs(assign(demands(4, 4, 4), [4, 4, 4], money)) == [
        (2, 0, 4, 4),
        (0, 1, 4, 4),
        (1, 2, 4, 4),
    ]


def test_making_room_never_takes_more_than_a_credit_has_there() -> None:
    money = [MoneyOffer(0, 0), MoneyOffer(0, 1), MoneyOffer(1, 0)]

    assert arcs(assign(demands(10, 3), [10, 10], money)) == [
        (0, 0, 7, 7),
        (1, 0, 3, 3),
        (0, 1, 3, 3),
    ]


def test_nothing_is_paid_without_an_offer_a_price_or_an_amount() -> None:
    assert assign([], [], []) == Assignment(())
    assert assign(demands(10), [5], []) == Assignment(())
    assert assign(demands(0), [5], [MoneyOffer(0, 0)], [UnitOffer(0, 0, 1)]) == Assignment(())
    assert assign(demands(10), [0], [MoneyOffer(0, 0)]) == Assignment(())


def every_payment(amount: int, due: tuple[int, ...], open_to: Sequence[bool]) -> Iterator[tuple[int, ...]]:
    """Every way in which one credit can pay into what is due."""
    if not due:
        yield ()
        return
    for paid in range(min(amount, due[0]) + 1 if open_to[0] else 1):
        for rest in every_payment(amount - paid, due[1:], open_to[1:]):
            yield (paid, *rest)


def best_by_trying_all(
    due: tuple[int, ...], available: Sequence[int], allowed: Sequence[Sequence[bool]]
) -> tuple[int, tuple[int, ...]]:
    """The most that can be paid, and of those ways the one where earlier credits pay most."""
    best: dict[tuple[int, ...], tuple[int, ...]] = {due: ()}
    for amount, open_to in zip(available, allowed, strict=True):
        following: dict[tuple[int, ...], tuple[int, ...]] = {}
        for left, given_ in best.items():
            for paid in every_payment(amount, left, open_to):
                after = tuple(d - p for d, p in zip(left, paid, strict=True))
                following[after] = max(following.get(after, ()), (*given_, sum(paid)))
        best = following
    return max((sum(given_), given_) for given_ in best.values())


@st.composite
def small_baskets(draw: st.DrawFn) -> tuple[list[int], list[int], list[list[bool]]]:
    prices = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    available = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    row = st.lists(st.booleans(), min_size=len(prices), max_size=len(prices))
    return prices, available, [draw(row) for _ in available]


@proven
@given(small_baskets())
def test_rule_18_money_covers_the_most_and_earlier_credits_pay_most_of_it(
    basket: tuple[list[int], list[int], list[list[bool]]],
) -> None:
    prices, available, allowed = basket
    money = [MoneyOffer(c, s) for c, row in enumerate(allowed) for s, open_ in enumerate(row) if open_]

    found = assign(demands(*prices), available, money)

    given_ = tuple(
        sum(share.taken for share in found.shares if share.credit == credit) for credit in range(len(available))
    )
    assert (sum(given_), given_) == best_by_trying_all(tuple(prices), available, allowed)
    assert all(share.taken == share.covered for share in found.shares)
    assert found.exact


# Money at a credit price (rule 22)


def test_rule_22_a_credit_pays_the_credit_price_and_the_rest_is_at_the_standard_price() -> None:
    at_80 = [MoneyOffer(0, 0, credit_price=80_0000)]

    assert arcs(assign(demands(100_0000), [90_0000], at_80)) == [(0, 0, 80_0000, 100_0000)]
    assert arcs(assign(demands(100_0000), [40_0000], at_80)) == [(0, 0, 40_0000, 50_0000)]


def test_rule_22_a_computed_share_is_rounded_to_the_currency() -> None:
    at_30 = [MoneyOffer(0, 0, credit_price=30_0000)]

    assert arcs(assign(demands(100_0000, digits=2), [10_0000], at_30)) == [(0, 0, 10_0000, 33_3300)]
    assert arcs(assign(demands(100_0000, digits=0), [10_0000], at_30)) == [(0, 0, 10_0000, 33_0000)]


def test_rule_22_a_credit_goes_where_its_price_is_best() -> None:
    money = [MoneyOffer(0, 0, credit_price=10), MoneyOffer(0, 1, credit_price=5)]

    assert arcs(assign(demands(10, 10), [5], money)) == [(0, 1, 5, 10)]
    assert arcs(assign(demands(10, 10), [7], money)) == [(0, 0, 2, 2), (0, 1, 5, 10)]


def test_rule_22_a_later_credit_moves_one_at_credit_price_when_more_is_covered() -> None:
    money = [
        MoneyOffer(0, 0, credit_price=5),
        MoneyOffer(0, 1, credit_price=8),
        MoneyOffer(1, 0),
    ]

    # Five of the first credit cover all of the first source, and the second could pay nothing.
    assert arcs(assign(demands(10, 16), [5, 4], money)) == [
        (0, 0, 3, 6),
        (1, 0, 4, 4),
        (0, 1, 2, 4),
    ]


def test_rule_22_a_credit_price_above_the_price_is_paid_too() -> None:
    assert arcs(assign(demands(10), [10], [MoneyOffer(0, 0, credit_price=20)])) == [(0, 0, 10, 5)]


def test_rule_22_mixed_credits_share_one_source() -> None:
    money = [MoneyOffer(0, 0), MoneyOffer(1, 0, credit_price=50)]

    assert arcs(assign(demands(100), [40, 40], money)) == [(0, 0, 40, 40), (1, 0, 30, 60)]


@st.composite
def baskets_with_credit_prices(
    draw: st.DrawFn,
) -> tuple[list[int], list[int], dict[Arc, Fraction]]:
    prices = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    available = draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))
    gains = {}
    for arc in product(range(len(available)), range(len(prices))):
        gain = draw(st.sampled_from([None, Fraction(1), Fraction(2), Fraction(3, 2), Fraction(1, 2)]))
        if gain is not None:
            gains[arc] = gain
    return prices, available, gains


def paid_in_sixths(prices: list[int], available: list[int], gains: dict[Arc, Fraction]) -> Iterator[Fraction]:
    """What is covered in every way of paying in sixths of a step."""
    arcs_ = sorted(gains)
    ranges = [range(available[credit] * 6 + 1) for credit, _ in arcs_]
    if len(arcs_) > 3:
        ranges = [range(0, available[credit] * 6 + 1, 3) for credit, _ in arcs_]
    for sixths in product(*ranges):
        spent = [Fraction(0)] * len(available)
        covered = [Fraction(0)] * len(prices)
        for arc, amount in zip(arcs_, sixths, strict=True):
            spent[arc[0]] += Fraction(amount, 6)
            covered[arc[1]] += Fraction(amount, 6) * gains[arc]
        fits = all(s <= a for s, a in zip(spent, available, strict=True))
        if fits and all(c <= p for c, p in zip(covered, prices, strict=True)):
            yield sum(covered, Fraction(0))


@settings(deadline=None, max_examples=40)
@given(baskets_with_credit_prices())
def test_rule_22_at_credit_prices_no_way_of_paying_covers_more(
    basket: tuple[list[int], list[int], dict[Arc, Fraction]],
) -> None:
    prices, available, gains = basket
    scale = 60_0000
    money = [MoneyOffer(credit, source, int(prices[source] * scale / gain)) for (credit, source), gain in gains.items()]

    found = assign(
        demands(*(price * scale for price in prices)),
        [amount * scale for amount in available],
        money,
    )

    for source, price in enumerate(prices):
        assert sum(s.covered for s in found.shares if s.source == source) <= price * scale
    for credit, amount in enumerate(available):
        assert sum(s.taken for s in found.shares if s.credit == credit) <= amount * scale
    assert all(share.covered > 0 for share in found.shares)
    # Each share is rounded to a ten-thousandth.
    most = max(paid_in_sixths(prices, available, gains)) * scale
    assert sum(share.covered for share in found.shares) >= most - len(found.shares)


# Whole units


def test_rule_21_units_cover_whole_units_of_the_price_and_money_the_rest() -> None:
    found = assign(demands(100), [3, 50], [MoneyOffer(1, 0)], [UnitOffer(0, 0, units=4)])

    assert arcs(found) == [(0, 0, 3, 75), (1, 0, 25, 25)]
    assert found.exact


def test_rule_21_minutes_are_taken_in_whole_steps() -> None:
    offer = [UnitOffer(0, 0, units=60, step=15)]

    assert arcs(assign(demands(60), [44], [], offer)) == [(0, 0, 30, 30)]
    assert arcs(assign(demands(60), [45], [], offer)) == [(0, 0, 45, 45)]
    assert arcs(assign(demands(60), [14], [], offer)) == []
    assert arcs(assign(demands(60), [90], [], offer)) == [(0, 0, 60, 60)]


def test_rule_21_a_job_is_printed_whole_by_one_credit_or_by_several() -> None:
    def printing(*available: int) -> list[tuple[int, int, int, int]]:
        offers = [UnitOffer(credit, 0, units=50, all_or_nothing=True) for credit in range(len(available))]
        return arcs(assign(demands(50), available, [], offers))

    assert printing(45) == []
    assert printing(50) == [(0, 0, 50, 50)]
    assert printing(60) == [(0, 0, 50, 50)]
    assert printing(30, 30) == [(0, 0, 30, 30), (1, 0, 20, 20)]
    assert printing(30, 10) == []
    assert printing(20, 20, 20) == [(0, 0, 20, 20), (1, 0, 20, 20), (2, 0, 10, 10)]


def test_rule_21_two_jobs_share_what_only_whole_jobs_can_use() -> None:
    offers = [UnitOffer(0, 0, 50, all_or_nothing=True), UnitOffer(0, 1, 30, all_or_nothing=True)]

    assert arcs(assign(demands(50, 30), [60], [], offers)) == [(0, 0, 50, 50)]
    assert arcs(assign(demands(50, 90), [60], [], offers)) == [(0, 1, 30, 90)]


def test_time_leaves_to_money_what_only_money_can_pay() -> None:
    # An hour of time could pay the dear room, which money can pay too; the cheap one cannot.
    found = assign(
        demands(40, 10),
        [60, 40],
        [MoneyOffer(1, 0)],
        [UnitOffer(0, 0, 60, 15), UnitOffer(0, 1, 60, 15)],
    )

    assert arcs(found) == [(1, 0, 40, 40), (0, 1, 60, 10)]


def test_units_go_where_one_is_worth_most() -> None:
    offers = [UnitOffer(0, 0, 4), UnitOffer(0, 1, 4)]

    assert arcs(assign(demands(8, 40), [4], [], offers)) == [(0, 1, 4, 40)]
    assert arcs(assign(demands(40, 40), [5], [], offers)) == [(0, 0, 4, 40), (0, 1, 1, 10)]


def test_a_single_source_is_paid_in_order_even_where_units_overlap() -> None:
    offers = [UnitOffer(0, 0, 10), UnitOffer(1, 0, 2)]

    assert arcs(assign(demands(100), [6, 1], [], offers)) == [(0, 0, 6, 60), (1, 0, 1, 40)]
    own_money_then_shared_days = assign(demands(100), [30, 2], [MoneyOffer(0, 0)], [UnitOffer(1, 0, 2)])
    assert arcs(own_money_then_shared_days) == [(0, 0, 30, 30), (1, 0, 2, 70)]


def test_of_several_sources_none_is_covered_twice_where_that_costs_more() -> None:
    # Six of ten days and one of two weeks would overlap; a day counts at its full worth.
    offers = [UnitOffer(0, 0, 10), UnitOffer(1, 0, 2), UnitOffer(0, 1, 10)]

    assert arcs(assign(demands(100, 10), [6, 1], [], offers)) == [
        (0, 0, 5, 50),
        (1, 0, 1, 50),
        (0, 1, 1, 1),
    ]


def test_the_last_unit_may_overlap_when_that_covers_more() -> None:
    offers = [UnitOffer(0, 0, 9), UnitOffer(1, 0, 2)]

    assert arcs(assign(demands(90), [5, 1], [], offers)) == [(0, 0, 5, 50), (1, 0, 1, 40)]


def test_rule_3_thirds_of_a_price_sum_to_it() -> None:
    offers = [UnitOffer(0, 0, 3), UnitOffer(1, 0, 3)]
    money = [MoneyOffer(2, 0)]

    found = assign(demands(100_0000, digits=2), [1, 1, 50_0000], money, offers)

    assert arcs(found) == [(0, 0, 1, 33_3300), (1, 0, 1, 33_3400), (2, 0, 33_3300, 33_3300)]


def test_rule_3_money_pays_to_its_last_step_but_never_past_it() -> None:
    found = assign(demands(100_0000, digits=2), [1, 66_6667], [MoneyOffer(1, 0)], [UnitOffer(0, 0, 3)])

    assert arcs(found) == [(0, 0, 1, 33_3300), (1, 0, 66_6600, 66_6600)]
    assert arcs(assign(demands(20_0000, digits=2), [10_0050], [MoneyOffer(0, 0)])) == [(0, 0, 10_0000, 10_0000)]


def test_a_credit_at_credit_price_is_never_charged_more_than_it_has() -> None:
    # Half a cent each is charged for the two sources, rounded up; the credit has one cent.
    money = [MoneyOffer(0, 0, credit_price=50), MoneyOffer(0, 1, credit_price=50)]

    found = assign([Demand(200, 2), Demand(200, 2)], [100], money)

    assert sum(share.taken for share in found.shares) == 100


def test_separate_baskets_do_not_disturb_one_another() -> None:
    found = assign(
        demands(10, 20, 30),
        [1, 20, 2],
        [MoneyOffer(1, 1)],
        [UnitOffer(0, 0, 1), UnitOffer(2, 2, 2)],
    )

    assert arcs(found) == [(0, 0, 1, 10), (1, 1, 20, 20), (2, 2, 2, 30)]


@st.composite
def awkward_baskets(
    draw: st.DrawFn,
) -> tuple[list[Demand], list[int], list[MoneyOffer], list[UnitOffer]]:
    prices = draw(st.lists(st.integers(0, 200_0000), min_size=1, max_size=4))
    digits = draw(st.sampled_from([0, 2, 4]))
    available, money, units = [], [], []
    for credit in range(draw(st.integers(1, 5))):
        counts_units = draw(st.booleans())
        available.append(draw(st.integers(0, 9) if counts_units else st.integers(0, 300_0000)))
        at_credit_price = draw(st.booleans())
        for source in range(len(prices)):
            if counts_units:
                units.append(UnitOffer(credit, source, draw(st.sampled_from([1, 3, 7, 60]))))
            elif draw(st.booleans()):
                price = draw(st.integers(1, 200_0000)) if at_credit_price else None
                money.append(MoneyOffer(credit, source, price))
    return [Demand(price, digits) for price in prices], available, money, units


@settings(deadline=None, max_examples=60)
@given(awkward_baskets())
def test_rule_3_whatever_the_basket_nothing_is_overdrawn_overpaid_or_lost(
    basket: tuple[list[Demand], list[int], list[MoneyOffer], list[UnitOffer]],
) -> None:
    demands, available, money, units = basket

    found = assign(demands, available, money, units)

    for credit, amount in enumerate(available):
        assert sum(s.taken for s in found.shares if s.credit == credit) <= amount
    for source, demand in enumerate(demands):
        assert 0 <= sum(s.covered for s in found.shares if s.source == source) <= demand.price
    assert all(share.taken > 0 and share.covered >= 0 for share in found.shares)
    assert found == assign(demands, available, money, units)


def test_a_large_basket_of_money_is_exact() -> None:
    money = [MoneyOffer(c, s) for c in range(50) for s in range(20) if (c * 7 + s * 3) % 4]

    found = assign(demands(*range(1000, 3000, 100)), [700] * 50, money)

    assert sum(share.covered for share in found.shares) == min(35000, sum(range(1000, 3000, 100)))
    assert found.exact


def test_a_single_source_is_paid_in_order_with_units_and_money() -> None:
    units_first = assign(demands(8), [1, 5, 2], [MoneyOffer(1, 0)], [UnitOffer(0, 0, 2), UnitOffer(2, 0, 2)])
    money_first = assign(demands(12), [3, 2], [MoneyOffer(0, 0, credit_price=4)], [UnitOffer(1, 0, 2)])

    assert arcs(units_first) == [(0, 0, 1, 4), (1, 0, 4, 4)]
    assert arcs(money_first) == [(0, 0, 3, 9), (1, 0, 1, 3)]


def test_a_job_is_printed_whole_or_paid_with_the_money_that_comes_first() -> None:
    def paid(*available: int) -> list[tuple[int, int, int, int]]:
        money = [MoneyOffer(0, 0), MoneyOffer(2, 0)]
        return arcs(assign(demands(50), available, money, [UnitOffer(1, 0, 5, all_or_nothing=True)]))

    assert paid(50, 5, 50) == [(0, 0, 50, 50)]
    assert paid(20, 5, 30) == [(0, 0, 20, 20), (2, 0, 30, 30)]
    assert paid(20, 5, 20) == [(1, 0, 5, 50)]
    assert paid(20, 4, 20) == [(0, 0, 20, 20), (2, 0, 20, 20)]
