"""A basket is assigned as a whole: proven against trying everything (rules 3, 18, 21, 22)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.basket import (
    Assignment,
    Demand,
    MoneyOffer,
    UnitOffer,
    assign,
)
from creditdesk.ledger.rules.max_flow import pay
from creditdesk.ledger.rules.unit_search import Search

proven = settings(deadline=None, max_examples=200)

Arc = tuple[int, int]


def demands(*prices: int, digits: int = 4) -> list[Demand]:
    return [Demand(price, digits) for price in prices]


def arcs(assignment: Assignment) -> list[tuple[int, int, int, int]]:
    return [(s.credit, s.source, s.taken, s.covered) for s in assignment.shares]


# Money


def test_no_credit_is_stranded() -> None:
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


def every_payment(
    amount: int, due: tuple[int, ...], open_to: Sequence[bool]
) -> Iterator[tuple[int, ...]]:
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
    money = [
        MoneyOffer(c, s) for c, row in enumerate(allowed) for s, open_ in enumerate(row) if open_
    ]

    found = assign(demands(*prices), available, money)

    given_ = tuple(
        sum(share.taken for share in found.shares if share.credit == credit)
        for credit in range(len(available))
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
        gain = draw(
            st.sampled_from([None, Fraction(1), Fraction(2), Fraction(3, 2), Fraction(1, 2)])
        )
        if gain is not None:
            gains[arc] = gain
    return prices, available, gains


def paid_in_sixths(
    prices: list[int], available: list[int], gains: dict[Arc, Fraction]
) -> Iterator[Fraction]:
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

    covered = pay(prices, available, gains)

    for source, price in enumerate(prices):
        assert sum(y for arc, y in covered.items() if arc[1] == source) <= price
    for credit, amount in enumerate(available):
        assert sum(y / gains[arc] for arc, y in covered.items() if arc[0] == credit) <= amount
    assert all(y > 0 for y in covered.values())
    assert sum(covered.values()) >= max(paid_in_sixths(prices, available, gains))


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
        offers = [
            UnitOffer(credit, 0, units=50, all_or_nothing=True) for credit in range(len(available))
        ]
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


def test_nothing_is_covered_twice_when_it_need_not_be() -> None:
    # Three of five days and one of two weeks would overlap; money of the first rank waits.
    offers = [UnitOffer(0, 0, 10), UnitOffer(1, 0, 2)]

    assert arcs(assign(demands(100), [6, 1], [], offers)) == [(0, 0, 5, 50), (1, 0, 1, 50)]
    own_money_then_shared_days = assign(
        demands(100), [30, 2], [MoneyOffer(0, 0)], [UnitOffer(1, 0, 2)]
    )
    assert arcs(own_money_then_shared_days) == [(1, 0, 2, 100)]


def test_the_last_unit_may_overlap_when_that_covers_more() -> None:
    offers = [UnitOffer(0, 0, 9), UnitOffer(1, 0, 2)]

    assert arcs(assign(demands(90), [5, 1], [], offers)) == [(0, 0, 5, 50), (1, 0, 1, 40)]


def test_rule_3_thirds_of_a_price_sum_to_it() -> None:
    offers = [UnitOffer(0, 0, 3), UnitOffer(1, 0, 3)]
    money = [MoneyOffer(2, 0)]

    found = assign(demands(100_0000, digits=2), [1, 1, 50_0000], money, offers)

    assert arcs(found) == [(0, 0, 1, 33_3300), (1, 0, 1, 33_3400), (2, 0, 33_3300, 33_3300)]


def test_rule_3_money_pays_to_its_last_step_but_never_past_it() -> None:
    found = assign(
        demands(100_0000, digits=2), [1, 66_6667], [MoneyOffer(1, 0)], [UnitOffer(0, 0, 3)]
    )

    assert arcs(found) == [(0, 0, 1, 33_3300), (1, 0, 66_6667, 66_6667)]
    assert arcs(assign(demands(20_0000, digits=2), [10_0050], [MoneyOffer(0, 0)])) == [
        (0, 0, 10_0050, 10_0050)
    ]


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
def mixed_baskets(
    draw: st.DrawFn,
) -> tuple[list[int], list[int], list[MoneyOffer], list[UnitOffer]]:
    units_of = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=3))
    prices = [4 * draw(st.integers(1, 2)) for _ in units_of]
    prints = [draw(st.booleans()) for _ in units_of]
    available, money, units = [], [], []
    for credit in range(draw(st.integers(1, 3))):
        counts_units = draw(st.booleans())
        available.append(draw(st.integers(1, 5)))
        for source in range(len(prices)):
            if not draw(st.booleans()):
                continue
            if counts_units:
                all_units = units_of[source] if prints[source] else draw(st.sampled_from([1, 2, 4]))
                step = 2 if all_units == 4 and not prints[source] and draw(st.booleans()) else 1
                units.append(UnitOffer(credit, source, all_units, step, prints[source]))
            else:
                money.append(MoneyOffer(credit, source))
    return prices, available, money, units


def best_score_by_trying_all(
    prices: list[int], available: list[int], money: list[MoneyOffer], units: list[UnitOffer]
) -> tuple[int, int, tuple[int, ...]]:
    allowed = [[False] * len(prices) for _ in available]
    for payment in money:
        allowed[payment.credit][payment.source] = True
    best: tuple[int, int, tuple[int, ...]] = (-1, 0, ())
    for taken in product(*(range(0, o.units + 1, o.step) for o in units)):
        given_ = [0] * len(available)
        face = [0] * len(prices)
        printed: dict[int, int] = {}
        for offer, count in zip(units, taken, strict=True):
            given_[offer.credit] += count
            face[offer.source] += count * prices[offer.source] // offer.units
            if offer.all_or_nothing:
                printed[offer.source] = printed.get(offer.source, 0) + count
        whole = {offer.source: offer.units for offer in units if offer.all_or_nothing}
        if any(count not in (0, whole[source]) for source, count in printed.items()):
            continue
        if any(g > a for g, a in zip(given_, available, strict=True)):
            continue
        due = tuple(max(0, p - f) for p, f in zip(prices, face, strict=True))
        by_money, money_given = best_by_trying_all(due, available, allowed)
        twice = sum(max(0, f - p) for p, f in zip(prices, face, strict=True))
        total = tuple(g + m for g, m in zip(given_, money_given, strict=True))
        best = max(best, (sum(prices) - sum(due) + by_money, -twice, total))
    return best


@proven
@given(mixed_baskets())
def test_rule_21_units_and_money_together_score_the_best_of_all_ways(
    basket: tuple[list[int], list[int], list[MoneyOffer], list[UnitOffer]],
) -> None:
    prices, available, money, units = basket

    found = assign(demands(*prices), available, money, units)

    given_ = tuple(
        sum(share.taken for share in found.shares if share.credit == credit)
        for credit in range(len(available))
    )
    face = [0] * len(prices)
    for share in found.shares:
        worth = {(o.credit, o.source): prices[o.source] // o.units for o in units}
        face[share.source] += share.taken * worth.get((share.credit, share.source), 1)
    twice = sum(max(0, f - p) for f, p in zip(face, prices, strict=True))
    value = sum(share.covered for share in found.shares)
    assert found.exact
    assert (value, -twice, given_) == best_score_by_trying_all(prices, available, money, units)


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
    asked, available, money, units = basket

    found = assign(asked, available, money, units)

    for credit, amount in enumerate(available):
        assert sum(s.taken for s in found.shares if s.credit == credit) <= amount
    for source, demand in enumerate(asked):
        assert 0 <= sum(s.covered for s in found.shares if s.source == source) <= demand.price
    assert all(share.taken > 0 and share.covered >= 0 for share in found.shares)
    assert found == assign(asked, available, money, units)


def test_a_large_basket_of_money_is_exact() -> None:
    money = [MoneyOffer(c, s) for c in range(50) for s in range(20) if (c * 7 + s * 3) % 4]

    found = assign(demands(*range(1000, 3000, 100)), [700] * 50, money)

    assert sum(share.covered for share in found.shares) == min(35000, sum(range(1000, 3000, 100)))
    assert found.exact


def test_past_its_limit_the_search_keeps_the_best_it_found_and_says_so() -> None:
    offers = [UnitOffer(c, s, 7) for c in range(4) for s in range(3)]
    prices, available = [700, 1400, 2100], [5, 5, 5, 5]

    found, proven_best = Search(prices, available, {}, offers, effort_limit=0).best()

    assert not proven_best
    assert sum(found.covered.values()) == 600 + 1400 + 2100


def test_past_the_limit_an_assignment_says_that_it_is_not_proven() -> None:
    offers = [UnitOffer(c, s, 240 * (1 + (c + s) % 2), 15) for c in range(4) for s in range(6)]
    prices = [135000, 145000, 25000, 95000, 175000, 167500]

    found = assign(demands(*prices, 10), [435, 345, 510, 390, 1], [], [*offers, UnitOffer(4, 6, 1)])

    assert not found.exact
    assert arcs(found)[-1] == (4, 6, 1, 10)


def test_of_two_ways_to_cover_all_the_one_that_the_order_of_payment_prefers_is_found() -> None:
    units_first = assign(
        demands(8), [1, 5, 2], [MoneyOffer(1, 0)], [UnitOffer(0, 0, 2), UnitOffer(2, 0, 2)]
    )
    money_first = assign(
        demands(12), [3, 2], [MoneyOffer(0, 0, credit_price=4)], [UnitOffer(1, 0, 2)]
    )

    assert arcs(units_first) == [(0, 0, 1, 4), (1, 0, 4, 4)]
    assert arcs(money_first) == [(0, 0, 2, 6), (1, 0, 1, 6)]
