"""Assignment under member caps, compared with brute force (rule 16)."""

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules import assignment
from creditdesk.ledger.rules.offers import (
    Assignment,
    BasketProblem,
    Cap,
    Demand,
    MoneyOffer,
    UnitOffer,
)


def assign(
    demands: Sequence[Demand],
    available: Sequence[int],
    money: Sequence[MoneyOffer],
    units: Sequence[UnitOffer] = (),
    caps: Sequence[Cap] = (),
) -> Assignment:
    return assignment.assign(BasketProblem.of(demands, available, [*money, *units], caps))


def demands(*prices: int, digits: int = 4) -> list[Demand]:
    return [Demand(price, digits) for price in prices]


def arcs(assignment: Assignment) -> list[tuple[int, int, int, int]]:
    return [(s.credit, s.source, s.taken, s.covered) for s in assignment.shares]


def cap(most: int, *credits_: int) -> Cap:
    return Cap(frozenset(credits_), most)


def test_a_cap_is_used_up_in_the_order_of_payment() -> None:
    money = [MoneyOffer(0, 0), MoneyOffer(1, 0), MoneyOffer(2, 0)]

    found = assign(demands(30), [6, 6, 6], money, caps=[cap(8, 0, 1)])

    assert arcs(found) == [(0, 0, 6, 6), (1, 0, 2, 2), (2, 0, 6, 6)]


def test_a_cap_over_credits_of_separate_sources_holds_over_both() -> None:
    money = [MoneyOffer(0, 0), MoneyOffer(1, 1)]

    assert arcs(assign(demands(10, 10), [10, 10], money, caps=[cap(12, 0, 1)])) == [
        (0, 0, 10, 10),
        (1, 1, 2, 2),
    ]


def test_under_a_cap_a_later_credit_takes_over_where_more_is_covered() -> None:
    # The third pays only the first source, so the capped draw moves to the second source.
    money = [MoneyOffer(0, 0), MoneyOffer(1, 1), MoneyOffer(2, 0)]

    assert arcs(assign(demands(10, 10), [10, 10, 10], money, caps=[cap(10, 0, 1)])) == [
        (2, 0, 10, 10),
        (1, 1, 10, 10),
    ]


def test_who_found_no_room_pays_once_a_later_credit_makes_it() -> None:
    # Credits under the cap are first and last, as when a changed booking prefers what it used.
    money = [MoneyOffer(0, 0), MoneyOffer(1, 0), MoneyOffer(2, 1)]

    assert arcs(assign(demands(10, 10), [10, 10, 10], money, caps=[cap(10, 0, 2)])) == [
        (1, 0, 10, 10),
        (2, 1, 10, 10),
    ]


def test_units_and_money_each_have_caps_of_their_own() -> None:
    money = [MoneyOffer(2, 0), MoneyOffer(3, 0)]
    units = [UnitOffer(0, 0, units=10), UnitOffer(1, 0, units=10)]

    found = assign(demands(100), [4, 4, 30, 30], money, units, [cap(5, 0, 1), cap(40, 2, 3)])

    assert arcs(found) == [(0, 0, 4, 40), (1, 0, 1, 10), (2, 0, 30, 30), (3, 0, 10, 10)]
    assert found.exact


def test_many_capped_time_credits_are_decided_at_once() -> None:
    units = [UnitOffer(credit, 0, units=1200, step=15) for credit in range(12)]

    found = assign(demands(1200), [600] * 12, [], units, [cap(605, *range(12))])

    assert arcs(found) == [(0, 0, 600, 600)]
    assert found.exact


def test_a_job_is_printed_whole_within_the_cap_or_not_at_all() -> None:
    units = [UnitOffer(credit, 0, units=10, all_or_nothing=True) for credit in range(2)]

    assert arcs(assign(demands(10), [6, 6], [], units, [cap(9, 0, 1)])) == []
    assert arcs(assign(demands(10), [6, 6], [], units, [cap(10, 0, 1)])) == [
        (0, 0, 6, 6),
        (1, 0, 4, 4),
    ]


def test_rounding_at_a_credit_price_never_passes_the_cap() -> None:
    money = [MoneyOffer(c, 0, credit_price=100_0000) for c in range(2)]

    found = assign(demands(300_0000, digits=0), [5_5000, 5_5000], money, caps=[cap(7_2000, 0, 1)])

    assert sum(share.taken for share in found.shares) <= 7_2000


def payments(due: tuple[int, ...], open_to: Sequence[bool], amount: int) -> Iterator[tuple[int, ...]]:
    if not due:
        yield ()
        return
    for paid in range(min(amount, due[0]) + 1 if open_to[0] else 1):
        for rest in payments(due[1:], open_to[1:], amount - paid):
            yield (paid, *rest)


def most_by_trying_all(
    due: tuple[int, ...],
    available: Sequence[int],
    allowed: Sequence[Sequence[bool]],
    caps: Sequence[Cap],
) -> int:
    """The most that can be covered with every step worth one."""
    ways = {(due, tuple(int(cap.limit) for cap in caps)): 0}
    for credit, (amount, open_to) in enumerate(zip(available, allowed, strict=True)):
        following: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        for (left, rooms), covered in ways.items():
            mine = [room for room, c in zip(rooms, caps, strict=True) if credit in c.credits]
            for paid in payments(left, open_to, min([amount, *mine])):
                total = sum(paid)
                after = tuple(d - p for d, p in zip(left, paid, strict=True))
                room = tuple(r - total if credit in c.credits else r for r, c in zip(rooms, caps, strict=True))
                following[after, room] = max(following.get((after, room), 0), covered + total)
        ways = following
    return max(ways.values())


@st.composite
def capped_baskets(
    draw: st.DrawFn,
) -> tuple[list[int], list[int], list[list[bool]], list[Cap]]:
    prices = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    available = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    row = st.lists(st.booleans(), min_size=len(prices), max_size=len(prices))
    pools = [draw(st.integers(0, 2)) for _ in available]
    caps = [
        Cap(frozenset(c for c, of in enumerate(pools) if of == pool), draw(st.integers(0, 5)))
        for pool in (1, 2)
        if pool in pools
    ]
    return prices, available, [draw(row) for _ in available], caps


@settings(deadline=None, max_examples=400)
@given(capped_baskets())
def test_rule_16_money_covers_the_most_that_the_caps_allow(
    basket: tuple[list[int], list[int], list[list[bool]], list[Cap]],
) -> None:
    prices, available, allowed, caps = basket
    money = [MoneyOffer(c, s) for c, row in enumerate(allowed) for s, open_ in enumerate(row) if open_]

    found = assign(demands(*prices), available, money, caps=caps)

    given_ = {c: sum(s.taken for s in found.shares if s.credit == c) for c in range(len(available))}
    assert sum(given_.values()) == most_by_trying_all(tuple(prices), available, allowed, caps)
    assert all(given_[c] <= amount for c, amount in enumerate(available))
    assert all(sum(given_[c] for c in each.credits) <= each.limit for each in caps)


@settings(deadline=None, max_examples=100)
@given(capped_baskets(), st.data())
def test_rule_22_with_credit_prices_a_cap_holds_too(
    basket: tuple[list[int], list[int], list[list[bool]], list[Cap]], data: st.DataObject
) -> None:
    prices, available, allowed, caps = basket
    money = [
        MoneyOffer(c, s, data.draw(st.sampled_from([None, 2 * prices[s], prices[s] // 2 or None])))
        for c, row in enumerate(allowed)
        for s, open_ in enumerate(row)
        if open_
    ]

    found = assign(demands(*prices), available, money, caps=caps)

    given_ = {c: sum(s.taken for s in found.shares if s.credit == c) for c in range(len(available))}
    assert all(given_[c] <= amount for c, amount in enumerate(available))
    assert all(sum(given_[c] for c in each.credits) <= each.limit for each in caps)
    for source, price in enumerate(prices):
        assert sum(s.covered for s in found.shares if s.source == source) <= price
