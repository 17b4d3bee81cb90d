"""The batch queue: which requests share a session, which wait, and what a fault means for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from creditdesk.ledger.batching import DEFERRED, BatchQueue, Deferred
from creditdesk.schema.errors import Conflict, StateConflict


@dataclass
class CountingStore:
    """Executes batches of words: records each batch and fails on demand."""

    batches: list[list[str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    commit_faults: list[Exception] = field(default_factory=list)
    takes_seconds: float = 0.0
    held: str = ""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[CountingStore]:
        yield self
        if self.commit_faults:
            raise self.commit_faults.pop(0)

    async def carry_out(
        self, _work: CountingStore, words: Sequence[str], urgent: int
    ) -> list[str | StateConflict | Deferred]:
        self.batches.append(list(words))
        await asyncio.sleep(self.takes_seconds)
        if self.faults:
            raise self.faults.pop(0)
        return [
            DEFERRED if word in self.held and place >= urgent else StateConflict(word) if word == "no" else word.upper()
            for place, word in enumerate(words)
        ]

    def queue(self, most: int = 64) -> BatchQueue[CountingStore, str, str]:
        return BatchQueue(self.opened, self.carry_out, most)


async def test_concurrent_requests_share_a_session_in_order() -> None:
    counter = CountingStore()
    queue = counter.queue()
    assert await asyncio.gather(*(queue.submit(word) for word in "abc")) == ["A", "B", "C"]
    assert counter.batches == [["a", "b", "c"]]


async def test_requests_during_a_batch_join_the_next() -> None:
    counter = CountingStore()
    queue = counter.queue()
    first = asyncio.create_task(queue.submit("a"))
    while not counter.batches:
        await asyncio.sleep(0)
    assert await asyncio.gather(first, *(queue.submit(word) for word in "bc")) == ["A", "B", "C"]
    assert counter.batches == [["a"], ["b", "c"]]


async def test_next_batch_waits_for_clients_of_the_last() -> None:
    counter = CountingStore(takes_seconds=0.1)
    queue = counter.queue()

    async def again_and_again(word: str) -> None:
        for _ in range(3):
            await queue.submit(word)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(again_and_again(word) for word in "abcd"))
    assert [len(batch) for batch in counter.batches] == [4, 4, 4]


async def test_late_request_joins_next_batch() -> None:
    counter = CountingStore(takes_seconds=0.1)
    queue = counter.queue()

    async def again_and_again(word: str, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        for _ in range(3):
            await queue.submit(word)
            await asyncio.sleep(0.001)

    early = [again_and_again(word, 0) for word in "ab"]
    await asyncio.gather(*early, *(again_and_again(word, 0.05) for word in "cde"))
    assert [len(batch) for batch in counter.batches] == [2, 5, 5, 3]


async def test_the_wait_for_clients_is_bounded() -> None:
    counter = CountingStore(takes_seconds=0.2)
    queue = counter.queue()
    await asyncio.gather(queue.submit("a"), queue.submit("b"))
    counter.takes_seconds = 0.0
    async with asyncio.timeout(1):
        assert await queue.submit("c") == "C"
        assert await queue.submit("d") == "D"
    assert counter.batches == [["a", "b"], ["c"], ["d"]]


async def test_batch_size_is_limited() -> None:
    counter = CountingStore()
    queue = counter.queue(most=2)
    await asyncio.gather(*(queue.submit(word) for word in "abcde"))
    assert counter.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_an_error_is_raised_to_its_own_caller() -> None:
    counter = CountingStore()
    queue = counter.queue()
    results = await asyncio.gather(*(queue.submit(w) for w in ("a", "no", "b")), return_exceptions=True)
    assert (results[0], results[2]) == ("A", "B")
    assert isinstance(results[1], StateConflict)
    assert counter.batches == [["a", "no", "b"]]


async def test_requests_with_a_common_conflict_key_run_in_separate_batches() -> None:
    counter = CountingStore()
    queue = counter.queue()
    marks = {"a": {1}, "b": {1, 2}, "c": {2}, "d": set(), "e": set(), "f": {1}}
    await asyncio.gather(*(queue.submit(word, conflict_keys=frozenset(of)) for word, of in marks.items()))
    assert counter.batches == [["a", "c", "d", "e"], ["b"], ["f"]]


async def test_after_a_fault_each_request_is_retried_alone() -> None:
    counter = CountingStore(faults=[Conflict("lost"), Conflict("lost again")])
    queue = counter.queue()
    results = await asyncio.gather(*(queue.submit(word) for word in "ab"), return_exceptions=True)
    assert isinstance(results[0], Conflict)
    assert results[1] == "B"
    assert counter.batches == [["a", "b"], ["a"], ["b"]]


async def test_after_an_unknown_commit_only_idempotent_requests_are_retried() -> None:
    counter = CountingStore(commit_faults=[ConnectionError("gone")])
    queue = counter.queue()
    results = await asyncio.gather(queue.submit("once"), queue.submit("again", idempotent=True), return_exceptions=True)
    assert isinstance(results[0], ConnectionError)
    assert results[1] == "AGAIN"
    assert counter.batches == [["once", "again"], ["again"]]


async def test_after_an_unknown_commit_deferred_requests_are_retried() -> None:
    counter = CountingStore(held="b", commit_faults=[ConnectionError("gone")])
    queue = counter.queue()
    results = await asyncio.gather(*(queue.submit(word) for word in "ab"), return_exceptions=True)
    assert isinstance(results[0], ConnectionError)
    assert results[1] == "B"
    assert counter.batches == [["a", "b"], ["b"]]


async def test_a_cancelled_caller_does_not_affect_the_batch() -> None:
    counter = CountingStore()
    queue = counter.queue()
    gone = asyncio.create_task(queue.submit("a"))
    stays = asyncio.create_task(queue.submit("b"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stays == "B"
    assert counter.batches == [["a", "b"]]


async def test_a_deferred_request_goes_first_and_is_not_deferred_again() -> None:
    counter = CountingStore(held="bd")
    queue = counter.queue()
    results = await asyncio.gather(*(queue.submit(word) for word in "abcd"))
    assert results == ["A", "B", "C", "D"]
    assert counter.batches == [["a", "b", "c", "d"], ["b", "d"]]


async def test_a_whole_batch_may_be_deferred_but_not_a_single_request() -> None:
    counter = CountingStore(held="abc")
    queue = counter.queue()
    assert await asyncio.gather(*(queue.submit(word) for word in "abc")) == ["A", "B", "C"]
    assert await queue.submit("a") == "A"
    assert counter.batches == [["a", "b", "c"], ["a", "b", "c"], ["a"]]


async def test_a_later_request_does_not_overtake_a_deferred_one_with_a_common_key() -> None:
    counter = CountingStore(held="b")
    queue = counter.queue()
    marks = {"a": {1}, "b": {2}, "c": {2}, "d": {3}}
    await asyncio.gather(*(queue.submit(word, conflict_keys=frozenset(of)) for word, of in marks.items()))
    assert counter.batches == [["a", "b", "d"], ["b"], ["c"]]
