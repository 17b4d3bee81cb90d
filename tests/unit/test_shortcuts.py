"""What is decided the short way is what the whole search decides (rules 16, 18, 22)."""

from fractions import Fraction
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from creditdesk.ledger.rules.max_flow import Arc, Cap, pay
from creditdesk.ledger.rules.unit_search import Search

proven = settings(deadline=None, max_examples=400)

GAINS = st.sampled_from([Fraction(1), Fraction(2), Fraction(3, 2), Fraction(1, 2), Fraction(2, 3)])


@st.composite
def baskets_of_money(
    draw: st.DrawFn, most_sources: int
) -> tuple[list[int], list[int], dict[Arc, Fraction], list[Cap]]:
    """Prices, what is available, what a step covers on each arc, and caps on up to two pools."""
    due = draw(st.lists(st.integers(0, 20), min_size=1, max_size=most_sources))
    available = draw(st.lists(st.integers(0, 9), min_size=1, max_size=5))
    gain = GAINS if draw(st.booleans()) else st.just(Fraction(1))
    arcs = [arc for arc in product(range(len(available)), range(len(due))) if draw(st.booleans())]
    pools = [draw(st.integers(0, 2)) for _ in available]
    caps = [
        Cap(frozenset(c for c, of in enumerate(pools) if of == pool), draw(st.integers(0, 12)))
        for pool in (1, 2)
        if pool in pools
    ]
    return due, available, {arc: draw(gain) for arc in arcs}, caps


@proven
@given(baskets_of_money(most_sources=1))
def test_a_single_source_is_paid_in_turn_as_if_there_were_another_to_move_to(
    basket: tuple[list[int], list[int], dict[Arc, Fraction], list[Cap]],
) -> None:
    due, available, gains, caps = basket
    # Nothing is due of the other source, but because of it credits are moved in search of room.
    elsewhere = {(credit, 1): Fraction(1) for credit in range(len(available))}

    assert pay(due, available, gains, caps) == pay([*due, 0], available, gains | elsewhere, caps)


@proven
@given(baskets_of_money(most_sources=3))
def test_money_alone_is_paid_as_the_search_over_units_has_it_paid(
    basket: tuple[list[int], list[int], dict[Arc, Fraction], list[Cap]],
) -> None:
    due, available, gains, caps = basket

    found, exact = Search(due, available, gains, [], caps=caps).best()

    assert (found.taken, exact) == ({}, True)
    assert found.covered == pay(due, available, gains, caps)
