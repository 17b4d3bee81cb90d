"""Plans: the search for a basket's best assignment, made while no row is locked (rule 31).

A write decides over locked balances and cannot wait for a search there. Where a basket needs one, the
write raises `PlanNeeded` with the problem it found, and its transaction ends without a trace. The search
runs on a thread, then the write is tried again with the solution. The solution is used only if the
problem over the balances that are locked now is still the same one; else the next round plans that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from creditdesk.ledger.rules.assignment import assign, needs_search
from creditdesk.ledger.rules.offers import Assignment, BasketProblem
from creditdesk.schema.errors import Conflict

MAX_PLANS: Final = 4
"""How often a write is planned before it is refused, as other writes keep changing its balances."""

# One search at a time: the solver releases the interpreter lock, so the event loop goes on, but a
# second search would only take the first one's core.
_SEARCHES: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="basket-search")

Result = TypeVar("Result")


class PlanNeeded(Conflict):
    """The basket needs a search that was not made for the balances it has now."""

    def __init__(self, problem: BasketProblem) -> None:
        super().__init__(
            "The credits of this basket keep changing. Nothing was changed: try again."
        )
        self.problem = problem


class Plans:
    """The solutions that a write may use; called with a problem, it returns its assignment."""

    def __init__(self, solutions: Mapping[BasketProblem, Assignment] | None = None) -> None:
        self._solutions = dict(solutions or {})

    def __call__(self, problem: BasketProblem) -> Assignment:
        """Raises PlanNeeded for a problem that needs a search and has no solution here."""
        solution = self._solutions.get(problem)
        if solution is not None:
            return solution
        if needs_search(problem):
            raise PlanNeeded(problem)
        return assign(problem)

    def with_solution(self, problem: BasketProblem, solution: Assignment) -> Plans:
        """These plans and one more."""
        return Plans({**self._solutions, problem: solution})


NO_PLANS: Final = Plans()


async def with_plans(execute: Callable[[Plans], Awaitable[Result]]) -> Result:
    """Executes a write or a preview, as often as it needs another plan.

    `execute` opens its own session and must leave no trace when it raises PlanNeeded. Raises
    PlanNeeded, a Conflict, when the balances changed under each of MAX_PLANS plans.
    """
    plans = NO_PLANS
    for _ in range(MAX_PLANS):
        try:
            return await execute(plans)
        except PlanNeeded as needed:
            plans = plans.with_solution(needed.problem, await search(needed.problem))
    return await execute(plans)


async def search(problem: BasketProblem) -> Assignment:
    """The best assignment, searched for on a thread."""
    return await asyncio.get_running_loop().run_in_executor(_SEARCHES, assign, problem)
