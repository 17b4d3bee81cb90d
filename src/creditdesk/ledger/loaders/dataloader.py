"""Runs loaders concurrently: the queries of each step go to the store in one round trip.

A loader is an ordinary coroutine that awaits `find`, one query after another. Loaders advance step
by step; the next queries of all of them are sent together.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar, overload

from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.query import Filter
from creditdesk.schema.repository import Finder, FindQuery

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

Loader = Callable[[Finder], Coroutine[Any, Any, A]]


@overload
async def gather_loads(finder: Finder, first: Loader[A], second: Loader[B], /) -> tuple[A, B]: ...
@overload
async def gather_loads(finder: Finder, first: Loader[A], second: Loader[B], third: Loader[C], /) -> tuple[A, B, C]: ...
@overload
async def gather_loads(
    finder: Finder, first: Loader[A], second: Loader[B], third: Loader[C], fourth: Loader[D], /
) -> tuple[A, B, C, D]: ...
async def gather_loads(finder: Finder, *loaders: Loader[Any]) -> tuple[Any, ...]:
    """The result of each loader. A loader may await nothing but the results of its queries.

    An exception of one loader ends all of them and is raised.
    """
    collector = _QueryCollector()
    coroutines = [load(collector) for load in loaders]
    results: dict[int, Any] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(loaders)))
    try:
        while answers:
            pending: dict[int, Sequence[FindQuery]] = {}
            for position, answer in answers.items():
                try:
                    pending[position] = coroutines[position].send(answer)
                except StopIteration as ended:
                    results[position] = ended.value
            queries = [query for of_loader in pending.values() for query in of_loader]
            found = iter(await finder.find_many(queries) if queries else ())
            answers = {position: [next(found) for _ in of_loader] for position, of_loader in pending.items()}
    finally:
        for coroutine in coroutines:
            coroutine.close()
    return tuple(results[position] for position in range(len(loaders)))


class _QueryCollector:
    """Hands a loader's queries to `gather_loads`, which resumes it with their results."""

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, columns: Sequence[str] = ()
    ) -> list[Record]:
        [found] = await self.find_many([FindQuery(entity, filters, columns)])
        return found

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        return await _PendingQueries(queries)


class _PendingQueries:
    """Awaits the results of queries."""

    def __init__(self, queries: Sequence[FindQuery]) -> None:
        self._queries = queries

    def __await__(
        self,
    ) -> Generator[Sequence[FindQuery], list[list[Record]], list[list[Record]]]:
        return (yield self._queries)
