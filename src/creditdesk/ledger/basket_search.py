"""The search for a basket's best assignment, made while no row is locked (rule 31).

A write decides over locked balances and cannot wait for a search there. Where a basket needs one, the
write raises `SearchRequired` with the problem it found, and its transaction ends without a trace. The
search runs on a thread, its solution goes to the cache, and the write is tried again. It finds the
solution only if the problem over the balances that are locked now is still the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Final, TypeVar

from creditdesk.ledger.rules.assignment import SearchRequired, SolutionCache, assign
from creditdesk.ledger.rules.offers import Assignment, BasketProblem

MAX_SEARCHES: Final = 4
"""How often a basket is searched anew, as other writes keep changing its balances."""

# One search at a time: the solver releases the interpreter lock, so the event loop goes on, but a
# second search would only take the first one's core.
_THREAD: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="basket-search")

_ResultT = TypeVar("_ResultT")


async def execute_with_search(solutions: SolutionCache, execute: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
    """Executes a write or a preview, again after each search that it requires.

    `execute` opens its own session and leaves no trace when it raises SearchRequired. Raises
    SearchRequired, a Conflict, when the balances changed during each of MAX_SEARCHES searches.
    """
    for _ in range(MAX_SEARCHES):
        try:
            return await execute()
        except SearchRequired as required:
            solutions.add(required.problem, await search(required.problem))
    return await execute()


async def load_solver() -> None:
    """Imports the solver, which would hold the event loop for up to 50 ms at the first search."""
    await asyncio.get_running_loop().run_in_executor(_THREAD, import_module, "creditdesk.ledger.rules.integer_program")


async def search(problem: BasketProblem) -> Assignment:
    """The best assignment, searched for on a thread."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, assign, problem)
