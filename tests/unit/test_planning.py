"""A basket's search runs outside the transaction, and only its own problem may use the solution."""

import asyncio
import time
from random import Random

import pytest

from creditdesk.ledger.planning import MAX_PLANS, PlanNeeded, Plans, search, with_plans
from creditdesk.ledger.rules.assignment import assign
from creditdesk.ledger.rules.offers import BasketProblem, Demand, MoneyOffer
from tests.unit.test_basket_search import large_basket


def two_sources(available: int) -> BasketProblem:
    demands = [Demand(10, 4), Demand(10, 4)]
    return BasketProblem.of(demands, [available], [MoneyOffer(0, 0), MoneyOffer(0, 1)])


def one_source(available: int) -> BasketProblem:
    return BasketProblem.of([Demand(10, 4)], [available], [MoneyOffer(0, 0)])


async def test_single_source_needs_no_plan() -> None:
    attempts = []

    async def execute(plans: Plans) -> int:
        attempts.append(plans)
        return plans(one_source(7)).shares[0].taken

    assert await with_plans(execute) == 7
    assert len(attempts) == 1


async def test_basket_is_executed_again_with_its_plan() -> None:
    attempts = []

    async def execute(plans: Plans) -> int:
        attempts.append(plans)
        return sum(share.taken for share in plans(two_sources(15)).shares)

    assert await with_plans(execute) == 15
    assert len(attempts) == 2


async def test_plan_for_other_balances_is_not_used() -> None:
    balances = iter([15, 12, 12])

    async def execute(plans: Plans) -> int:
        return sum(share.taken for share in plans(two_sources(next(balances))).shares)

    assert await with_plans(execute) == 12


async def test_balance_beyond_what_the_basket_can_use_keeps_the_plan() -> None:
    balances = iter([500, 300])

    async def execute(plans: Plans) -> int:
        return sum(share.taken for share in plans(two_sources(next(balances))).shares)

    assert await with_plans(execute) == 20


async def test_balances_that_keep_changing_are_a_conflict() -> None:
    attempts = []

    async def execute(plans: Plans) -> int:
        attempts.append(plans)
        return len(plans(two_sources(len(attempts))).shares)

    with pytest.raises(PlanNeeded) as refused:
        await with_plans(execute)
    assert refused.value.status == 409
    assert len(attempts) == MAX_PLANS + 1


async def test_event_loop_runs_while_a_basket_is_searched() -> None:
    problem = large_basket(Random(7))
    assign(problem)  # the solver is loaded, whose import is measured elsewhere
    searching = asyncio.create_task(search(problem))
    longest, turns, before = 0.0, 0, time.perf_counter()
    while not searching.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, turns, before = max(longest, now - before), turns + 1, now

    assert turns > 3
    assert (await searching).exact
