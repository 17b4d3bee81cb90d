"""A basket's search runs outside the transaction, and only its own problem may use the solution."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from creditdesk.ledger.basket_search import MAX_SEARCHES, execute_with_search, search
from creditdesk.ledger.rules.assignment import SearchRequired, SolutionCache, assign
from creditdesk.ledger.rules.offers import BasketProblem, Demand, MoneyOffer
from tests.unit.test_basket_search import large_basket


def two_sources(available: int) -> BasketProblem:
    demands = [Demand(10, 4), Demand(10, 4)]
    return BasketProblem.of(demands, [available], [MoneyOffer(0, 0), MoneyOffer(0, 1)])


def one_source(available: int) -> BasketProblem:
    return BasketProblem.of([Demand(10, 4)], [available], [MoneyOffer(0, 0)])


def spend(
    solutions: SolutionCache, *problems: BasketProblem
) -> tuple[Callable[[], Awaitable[int]], list[BasketProblem]]:
    """A write that finds another problem on each attempt and returns what is taken; its attempts."""
    attempts: list[BasketProblem] = []

    async def execute() -> int:
        attempts.append(problems[min(len(attempts), len(problems) - 1)])
        return sum(share.taken for share in solutions.assign(attempts[-1]).shares)

    return execute, attempts


async def test_single_source_needs_no_search() -> None:
    solutions = SolutionCache()
    execute, attempts = spend(solutions, one_source(7))

    assert await execute_with_search(solutions, execute) == 7
    assert len(attempts) == 1


async def test_basket_is_executed_again_with_its_solution() -> None:
    solutions = SolutionCache()
    execute, attempts = spend(solutions, two_sources(15))

    assert await execute_with_search(solutions, execute) == 15
    assert len(attempts) == 2
    assert await execute_with_search(solutions, execute) == 15
    assert len(attempts) == 3


async def test_solution_for_other_balances_is_not_used() -> None:
    solutions = SolutionCache()
    execute, attempts = spend(solutions, two_sources(15), two_sources(12))

    assert await execute_with_search(solutions, execute) == 12
    assert len(attempts) == 3


async def test_balance_beyond_what_the_basket_can_use_changes_nothing() -> None:
    solutions = SolutionCache()
    execute, attempts = spend(solutions, two_sources(500), two_sources(300))

    assert await execute_with_search(solutions, execute) == 20
    assert len(attempts) == 2


async def test_balances_that_keep_changing_are_a_conflict() -> None:
    solutions = SolutionCache()
    execute, attempts = spend(solutions, *(two_sources(balance) for balance in range(1, 9)))

    with pytest.raises(SearchRequired) as refused:
        await execute_with_search(solutions, execute)
    assert refused.value.status == 409
    assert len(attempts) == MAX_SEARCHES + 1


def test_cache_keeps_the_latest() -> None:
    solutions = SolutionCache(size=2)
    for balance in (1, 2, 3):
        solutions.add(two_sources(balance), assign(two_sources(balance)))

    assert solutions.assign(two_sources(3)).shares
    with pytest.raises(SearchRequired):
        solutions.assign(two_sources(1))


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
    assert (await searching).shares
