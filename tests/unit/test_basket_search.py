"""A basket of several sources is assigned as no other way could: proven by trying every way."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import product
from random import Random

import pytest

from creditdesk.ledger.rules.assignment import assign, burn_down
from creditdesk.ledger.rules.offers import (
    Assignment,
    BasketProblem,
    Cap,
    Demand,
    MoneyOffer,
    Share,
    UnitOffer,
    most_needed,
)

BASKETS = 3000
RANK = 1000
EURO = 1_0000
CENT = 100

Objective = tuple[int, int]
"""Value covered, and minus the sum of rank times value taken, in thousandths."""
State = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""What is open of each source, what is printed of each, and what is left of each cap."""


def small_basket(random: Random) -> BasketProblem:
    """Up to three sources and four credits; every amount is whole."""
    sources = range(random.randint(2, 3))
    prices = [4 * random.randint(1, 2) for _ in sources]
    prints = [random.random() < 0.25 for _ in sources]
    money, units, available = [], [], []
    pools: dict[str, set[int]] = {}
    for credit in range(random.randint(1, 4)):
        in_units = random.random() < 0.6
        available.append(random.randint(1, 6))
        if random.random() < 0.4:
            pools.setdefault("units" if in_units else "money", set()).add(credit)
        for source in sources:
            if random.random() < 0.3:
                continue
            if not in_units:
                money.append(MoneyOffer(credit, source))
            elif prints[source]:
                units.append(UnitOffer(credit, source, 4, all_or_nothing=True))
            else:
                count = random.choice([1, 2, 4])
                step = random.choice([1, 2]) if count == 4 else 1
                units.append(UnitOffer(credit, source, count, step))
    caps = [Cap(frozenset(credits_), random.randint(0, 7)) for credits_ in pools.values()]
    return BasketProblem.of([Demand(price, 4) for price in prices], available, [*money, *units], caps)


def ways_to_give(problem: BasketProblem, credit: int) -> Iterator[dict[int, int]]:
    """Every way in which one credit can give to the sources, whole steps each."""
    choices: dict[int, range] = {}
    for offer in problem.offers:
        demand = problem.demands[offer.source]
        if offer.credit == credit and isinstance(offer, UnitOffer):
            choices[offer.source] = range(0, most_needed(offer, demand) + 1, offer.step)
        elif offer.credit == credit:
            choices[offer.source] = range(demand.price + 1)
    for given in product(*choices.values()):
        if sum(given) <= problem.available[credit]:
            yield dict(zip(choices, given, strict=True))


def best_of_all_ways(problem: BasketProblem) -> Objective:
    prices = [demand.price for demand in problem.demands]
    by_arc = {(offer.credit, offer.source): offer for offer in problem.offers}
    ranks = {credit: n for n, credit in enumerate(sorted({c for c, _ in by_arc}), start=1)}
    places = {source: n for n, source in enumerate(sorted({s for _, s in by_arc}))}
    start: State = (tuple(prices), (0,) * len(prices), tuple(cap.limit for cap in problem.caps))
    costs: dict[State, int] = {start: 0}
    for credit, rank in ranks.items():
        ways = list(ways_to_give(problem, credit))
        following: dict[State, int] = {}
        for (open_, printed, caps), cost in costs.items():
            for way in ways:
                left = tuple(
                    n - sum(way.values()) if credit in cap.credits else n
                    for n, cap in zip(caps, problem.caps, strict=True)
                )
                if any(n < 0 for n in left):
                    continue
                opened, jobs, total = list(open_), list(printed), cost
                for source, given in way.items():
                    offer = by_arc[credit, source]
                    worth = given
                    if isinstance(offer, UnitOffer):
                        worth = given * prices[source] // offer.units
                        jobs[source] += given if offer.all_or_nothing else 0
                    opened[source] = max(0, opened[source] - worth)
                    total += worth * (RANK * rank + places[source])
                state = (tuple(opened), tuple(jobs), left)
                following[state] = min(following.get(state, total), total)
        costs = following
    return max(
        (sum(prices) - sum(open_), -cost)
        for (open_, printed, _), cost in costs.items()
        if all(count in (0, 4) for count in printed)
    )


def objective(problem: BasketProblem, found: Assignment) -> Objective:
    by_arc = {(offer.credit, offer.source): offer for offer in problem.offers}
    ranks = {credit: n for n, credit in enumerate(sorted({c for c, _ in by_arc}), start=1)}
    places = {source: n for n, source in enumerate(sorted({s for _, s in by_arc}))}
    cost = 0
    for share in found.shares:
        offer = by_arc[share.credit, share.source]
        worth = share.taken
        if isinstance(offer, UnitOffer):
            worth = worth * problem.demands[share.source].price // offer.units
        cost += worth * (RANK * ranks[share.credit] + places[share.source])
    return sum(share.covered for share in found.shares), -cost


def assert_possible(problem: BasketProblem, found: Assignment) -> None:
    given: dict[int, int] = {}
    for share in found.shares:
        given[share.credit] = given.get(share.credit, 0) + share.taken
    assert all(amount <= problem.available[credit] for credit, amount in given.items())
    for cap in problem.caps:
        assert sum(given.get(credit, 0) for credit in cap.credits) <= cap.limit
    for source, demand in enumerate(problem.demands):
        of_source = [share for share in found.shares if share.source == source]
        assert sum(share.covered for share in of_source) <= demand.price
        jobs = [o for o in problem.units if o.source == source and o.all_or_nothing]
        printing = {offer.credit for offer in jobs}
        printed = sum(share.taken for share in of_source if share.credit in printing)
        assert printed in (0, *(offer.units for offer in jobs))
    steps = {(offer.credit, offer.source): offer.step for offer in problem.units}
    assert all(s.taken % steps.get((s.credit, s.source), 1) == 0 for s in found.shares)


@pytest.mark.parametrize("seed", range(8))
def test_every_small_basket_is_assigned_best_of_all_ways(seed: int) -> None:
    random = Random(seed)
    searched = 0
    for _ in range(BASKETS // 8):
        for problem in small_basket(random).parts():
            found = assign(problem)
            assert_possible(problem, found)
            assert found.exact
            if not problem.is_single:
                searched += 1
                assert objective(problem, found) == best_of_all_ways(problem), problem
            elif not problem.caps:
                assert covered(found.shares) == best_of_all_ways(problem)[0], problem
    assert searched > BASKETS // 16


def test_at_credit_prices_no_way_in_whole_euros_covers_more() -> None:
    random = Random(1)
    for _ in range(200):
        for problem in basket_with_credit_prices(random).parts():
            found = assign(problem)
            assert_possible(problem, found)
            assert found.exact
            if not problem.is_single:
                # Each share is rounded to a cent.
                lost = len(found.shares) * CENT
                assert covered(found.shares) >= most_in_whole_euros(problem) - lost


def basket_with_credit_prices(random: Random) -> BasketProblem:
    prices = [4 * EURO * random.randint(1, 3) for _ in range(2)]
    money = [
        MoneyOffer(credit, source, random.choice([None, price // 2, 2 * price]))
        for credit in range(3)
        for source, price in enumerate(prices)
        if random.random() < 0.7
    ][:4]
    available = [EURO * random.randint(0, 8) for _ in range(3)]
    caps = [Cap(frozenset({0, 1}), EURO * random.randint(0, 10))] if random.random() < 0.5 else []
    return BasketProblem.of([Demand(price, 2) for price in prices], available, money, caps)


def most_in_whole_euros(problem: BasketProblem) -> int:
    prices = [demand.price for demand in problem.demands]
    best = 0
    for given in product(*(range(0, problem.available[o.credit] + 1, EURO) for o in problem.money)):
        spent, paid = [0] * len(problem.available), [0] * len(prices)
        for offer, amount in zip(problem.money, given, strict=True):
            price = prices[offer.source]
            spent[offer.credit] += amount
            paid[offer.source] += amount * price // (offer.credit_price or price)
        fits = all(map(int.__le__, spent, problem.available))
        if fits and all(sum(spent[c] for c in cap.credits) <= cap.limit for cap in problem.caps):
            best = max(best, sum(map(min, paid, prices)))
    return best


def covered(shares: Sequence[Share]) -> int:
    return sum(share.covered for share in shares)


def large_basket(random: Random) -> BasketProblem:
    """Twenty bookings and twenty time credits that cover about half of them."""
    hours = [random.choice([1, 2, 3, 4, 8]) for _ in range(20)]
    prices = [hour * random.randrange(10, 80, 5) * 1_0000 for hour in hours]
    units = [
        UnitOffer(credit, source, hours[source] * 60, 15)
        for credit in range(20)
        for source in range(20)
        if random.random() < 0.7
    ]
    available = [random.randrange(1, 20) * 15 for _ in range(20)]
    return BasketProblem.of([Demand(price, 2) for price in prices], available, units)


@pytest.mark.parametrize("limit_ms", [0, 5, 20])
def test_at_the_time_limit_a_basket_is_never_worse_off_than_by_plain_burn_down(
    limit_ms: int,
) -> None:
    random = Random(7)
    ratios = []
    for _ in range(6):
        problem = large_basket(random)
        best = assign(problem, timedelta(minutes=1))
        found = assign(problem, timedelta(milliseconds=limit_ms))

        assert_possible(problem, found)
        assert best.exact
        in_order = covered(burn_down(problem))
        assert in_order <= covered(found.shares) <= covered(best.shares)
        assert found.exact or limit_ms > 0 or found.shares == tuple(burn_down(problem))
        ratios.append(covered(found.shares) / covered(best.shares))
    # How far from the best: burn-down alone covers a half to all of it on baskets like these.
    assert min(ratios) > 0.5
