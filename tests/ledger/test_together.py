"""The queue in which asks gather: who shares a unit, who waits, and what a fault means to whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from creditdesk.ledger.batching import PUT_OFF, PutOff, Together
from creditdesk.schema.errors import Blocked, Conflict


@dataclass
class Counter:
    """Carries out batches of words: remembers each batch, and fails as it is told to."""

    batches: list[list[str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    commit_faults: list[Exception] = field(default_factory=list)
    takes_seconds: float = 0.0
    held: str = ""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Counter]:
        yield self
        if self.commit_faults:
            raise self.commit_faults.pop(0)

    async def carry_out(
        self, _work: Counter, words: Sequence[str], urgent: int
    ) -> list[str | Blocked | PutOff]:
        self.batches.append(list(words))
        await asyncio.sleep(self.takes_seconds)
        if self.faults:
            raise self.faults.pop(0)
        return [
            PUT_OFF
            if word in self.held and place >= urgent
            else Blocked(word)
            if word == "no"
            else word.upper()
            for place, word in enumerate(words)
        ]

    def queue(self, most: int = 64) -> Together[Counter, str, str]:
        return Together(self.opened, self.carry_out, most)


async def test_those_who_ask_at_once_share_a_unit_and_are_answered_in_order():
    counter = Counter()
    queue = counter.queue()
    assert await asyncio.gather(*(queue.ask(word) for word in "abc")) == ["A", "B", "C"]
    assert counter.batches == [["a", "b", "c"]]


async def test_who_asks_while_a_batch_is_under_way_goes_with_the_next():
    counter = Counter()
    queue = counter.queue()
    first = asyncio.create_task(queue.ask("a"))
    while not counter.batches:
        await asyncio.sleep(0)
    assert await asyncio.gather(first, *(queue.ask(word) for word in "bc")) == ["A", "B", "C"]
    assert counter.batches == [["a"], ["b", "c"]]


async def test_those_who_were_answered_together_are_waited_for():
    counter = Counter(takes_seconds=0.1)
    queue = counter.queue()

    async def again_and_again(word: str) -> None:
        for _ in range(3):
            await queue.ask(word)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(again_and_again(word) for word in "abcd"))
    assert [len(batch) for batch in counter.batches] == [4, 4, 4]


async def test_who_came_too_late_for_one_batch_shares_the_next_with_those_who_were_answered():
    counter = Counter(takes_seconds=0.1)
    queue = counter.queue()

    async def again_and_again(word: str, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        for _ in range(3):
            await queue.ask(word)
            await asyncio.sleep(0.001)

    early = [again_and_again(word, 0) for word in "ab"]
    await asyncio.gather(*early, *(again_and_again(word, 0.05) for word in "cde"))
    assert [len(batch) for batch in counter.batches] == [2, 5, 5, 3]


async def test_who_does_not_come_back_is_not_waited_for_long():
    counter = Counter(takes_seconds=0.2)
    queue = counter.queue()
    await asyncio.gather(queue.ask("a"), queue.ask("b"))
    counter.takes_seconds = 0.0
    async with asyncio.timeout(1):
        assert await queue.ask("c") == "C"
        assert await queue.ask("d") == "D"
    assert counter.batches == [["a", "b"], ["c"], ["d"]]


async def test_a_batch_has_a_limit():
    counter = Counter()
    queue = counter.queue(most=2)
    await asyncio.gather(*(queue.ask(word) for word in "abcde"))
    assert counter.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_refusal_is_its_own_askers():
    counter = Counter()
    queue = counter.queue()
    said = await asyncio.gather(*(queue.ask(w) for w in ("a", "no", "b")), return_exceptions=True)
    assert (said[0], said[2]) == ("A", "B")
    assert isinstance(said[1], Blocked)
    assert counter.batches == [["a", "no", "b"]]


async def test_asks_with_a_mark_in_common_go_one_after_another():
    counter = Counter()
    queue = counter.queue()
    marks = {"a": {1}, "b": {1, 2}, "c": {2}, "d": set(), "e": set(), "f": {1}}
    await asyncio.gather(*(queue.ask(word, apart=frozenset(of)) for word, of in marks.items()))
    assert counter.batches == [["a", "c", "d", "e"], ["b"], ["f"]]


async def test_after_a_fault_each_is_tried_once_more_on_its_own():
    counter = Counter(faults=[Conflict("lost"), Conflict("lost again")])
    queue = counter.queue()
    said = await asyncio.gather(*(queue.ask(word) for word in "ab"), return_exceptions=True)
    assert isinstance(said[0], Conflict)
    assert said[1] == "B"
    assert counter.batches == [["a", "b"], ["a"], ["b"]]


async def test_when_the_news_of_a_commit_is_lost_only_the_repeatable_are_tried_again():
    counter = Counter(commit_faults=[ConnectionError("gone")])
    queue = counter.queue()
    said = await asyncio.gather(
        queue.ask("once"), queue.ask("again", repeatable=True), return_exceptions=True
    )
    assert isinstance(said[0], ConnectionError)
    assert said[1] == "AGAIN"
    assert counter.batches == [["once", "again"], ["again"]]


async def test_when_the_news_of_a_commit_is_lost_who_was_put_off_is_tried_again():
    counter = Counter(held="b", commit_faults=[ConnectionError("gone")])
    queue = counter.queue()
    said = await asyncio.gather(*(queue.ask(word) for word in "ab"), return_exceptions=True)
    assert isinstance(said[0], ConnectionError)
    assert said[1] == "B"
    assert counter.batches == [["a", "b"], ["b"]]


async def test_who_goes_away_undoes_nothing_for_the_others():
    counter = Counter()
    queue = counter.queue()
    gone = asyncio.create_task(queue.ask("a"))
    stays = asyncio.create_task(queue.ask("b"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stays == "B"
    assert counter.batches == [["a", "b"]]


async def test_who_is_put_off_goes_first_in_the_next_batch_and_is_put_off_no_more():
    counter = Counter(held="bd")
    queue = counter.queue()
    said = await asyncio.gather(*(queue.ask(word) for word in "abcd"))
    assert said == ["A", "B", "C", "D"]
    assert counter.batches == [["a", "b", "c", "d"], ["b", "d"]]


async def test_a_batch_may_be_put_off_as_a_whole_but_not_one_that_is_alone():
    counter = Counter(held="abc")
    queue = counter.queue()
    assert await asyncio.gather(*(queue.ask(word) for word in "abc")) == ["A", "B", "C"]
    assert await queue.ask("a") == "A"
    assert counter.batches == [["a", "b", "c"], ["a", "b", "c"], ["a"]]


async def test_who_comes_later_does_not_pass_one_with_a_mark_in_common_that_was_put_off():
    counter = Counter(held="b")
    queue = counter.queue()
    marks = {"a": {1}, "b": {2}, "c": {2}, "d": {3}}
    await asyncio.gather(*(queue.ask(word, apart=frozenset(of)) for word, of in marks.items()))
    assert counter.batches == [["a", "b", "d"], ["b"], ["c"]]
