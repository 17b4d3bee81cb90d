"""Reading side by side: what several readers ask next travels to the store together.

Each reader is an ordinary coroutine that asks with `find`, one question after another. They go on
step by step: all their next questions are one exchange, however many readers there are. This
module must not know what is asked.
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
async def gather_loads(
    finding: Finder, first: Loader[A], second: Loader[B], third: Loader[C], /
) -> tuple[A, B, C]: ...
@overload
async def gather_loads(
    finding: Finder, first: Loader[A], second: Loader[B], third: Loader[C], fourth: Loader[D], /
) -> tuple[A, B, C, D]: ...
async def gather_loads(finding: Finder, *readers: Loader[Any]) -> tuple[Any, ...]:
    """What each reader gives. A reader may wait for nothing but the answers to its questions.

    What one of them raises ends all.
    """
    asking = _QueryCollector()
    coroutines = [read(asking) for read in readers]
    given: dict[int, Any] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(readers)))
    try:
        while answers:
            asked: dict[int, Sequence[FindQuery]] = {}
            for place, answer in answers.items():
                try:
                    asked[place] = coroutines[place].send(answer)
                except StopIteration as ended:
                    given[place] = ended.value
            questions = [question for of in asked.values() for question in of]
            found = iter(await finding.find_many(questions) if questions else ())
            answers = {place: [next(found) for _ in of] for place, of in asked.items()}
    finally:
        for coroutine in coroutines:
            coroutine.close()
    return tuple(given[place] for place in range(len(readers)))


class _QueryCollector:
    """Hands a reader's questions to `at_once`, which resumes it with the answers."""

    async def find(
        self, entity: type[Entity], filters: Sequence[Filter] = (), *, columns: Sequence[str] = ()
    ) -> list[Record]:
        [found] = await self.find_many([FindQuery(entity, filters, columns)])
        return found

    async def find_many(self, queries: Sequence[FindQuery]) -> list[list[Record]]:
        return await _PendingQueries(queries)


class _PendingQueries:
    """Waits for answers."""

    def __init__(self, queries: Sequence[FindQuery]) -> None:
        self._queries = queries

    def __await__(
        self,
    ) -> Generator[Sequence[FindQuery], list[list[Record]], list[list[Record]]]:
        return (yield self._queries)
