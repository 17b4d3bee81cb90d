"""Asks that wait at the same moment are carried out together, in one unit of work (rule 31).

While a batch is under way the next one gathers. Each ask is answered for itself. One that would
wait for another unit holds up its whole batch, so it may be put off, once, to the next. This module
must not know what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, TypeVar

from creditdesk.schema.errors import Conflict, Refusal

MOST_TOGETHER: Final = 64
"""How many asks share a unit at most."""
PATIENT_PART: Final = 2
MOST_PATIENCE: Final = timedelta(milliseconds=10)
"""A batch waits for all who are about, answered or waiting as the last one ended: half of the time
that one took, and never longer than this."""


class PutOff(Enum):
    """What is said in place of an answer."""

    PUT_OFF = "put off"


PUT_OFF: Final = PutOff.PUT_OFF
"""Another unit holds what the ask needs; nothing was done, and the next batch will wait for it."""

Work = TypeVar("Work")
Ask = TypeVar("Ask")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Ask, Given]):
    ask: Ask
    apart: frozenset[Hashable]
    repeatable: bool
    answer: asyncio.Future[Given]
    urgent: bool = False

    def say(self, said: Given | Exception) -> None:
        # Who asked may have gone meanwhile.
        if self.answer.done():
            return
        if isinstance(said, Exception):
            self.answer.set_exception(said)
        else:
            self.answer.set_result(said)


class Together(Generic[Work, Ask, Given]):
    """Gathers asks and has each batch carried out in a unit that `opened` gives.

    `carry_out` answers the asks of a batch in their order, with a value or a refusal each. It may
    put off all but the first few, whose number it is told: these waited for the last batch in vain.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractAsyncContextManager[Work]],
        carry_out: Callable[
            [Work, Sequence[Ask], int], Awaitable[Sequence[Given | Refusal | PutOff]]
        ],
        most_together: int = MOST_TOGETHER,
    ) -> None:
        self._opened = opened
        self._carry_out = carry_out
        self._most = most_together
        self._waiting: list[_Waiting[Ask, Given]] = []
        self._worker: asyncio.Task[None] | None = None
        self._about = 1
        self._patience = timedelta()
        self._enough = asyncio.Event()

    async def ask(
        self, ask: Ask, *, apart: frozenset[Hashable] = frozenset(), repeatable: bool = False
    ) -> Given:
        """The answer to one ask, carried out with whatever else is waiting. Raises its refusal.

        No batch has two asks with anything in `apart` in common; the later one waits for the next.
        `repeatable` says that asking again has no second effect, as with a key (rule 32).
        """
        answer: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(ask, apart, repeatable, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        if len(self._waiting) >= self._about:
            self._enough.set()
        # Who asked may go away; what is under way is carried out all the same.
        return await asyncio.shield(answer)

    async def _work(self) -> None:
        try:
            # Everyone who asks in this turn of the loop is on board before the first batch leaves.
            await asyncio.sleep(0)
            while self._waiting:
                await self._gather()
                batch = self._next()
                loop = asyncio.get_running_loop()
                began = loop.time()
                put_off = await self._answer(batch)
                lasted = timedelta(seconds=loop.time() - began)
                self._about = min(len(batch) + len(self._waiting), self._most)
                self._waiting[:0] = put_off
                self._patience = min(lasted / PATIENT_PART, MOST_PATIENCE)
        finally:
            self._worker = None

    async def _gather(self) -> None:
        """Gives those who were answered the time to come back, and so to share one unit with those
        who could not be part of the last.

        What a unit costs beside its asks is as much as a dozen of them, so few large ones serve
        everyone sooner than many small ones, even where those could overlap.
        """
        if len(self._waiting) < self._about:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.total_seconds()):
                    await self._enough.wait()

    def _next(self) -> list[_Waiting[Ask, Given]]:
        """The next batch; who cannot be part of it keeps the place in the row."""
        batch, later = list[_Waiting[Ask, Given]](), list[_Waiting[Ask, Given]]()
        on_board: set[Hashable] = set()
        for waiting in self._waiting:
            if len(batch) == self._most or waiting.apart & on_board:
                later.append(waiting)
            else:
                batch.append(waiting)
                on_board |= waiting.apart
        self._waiting = later
        return batch

    async def _answer(self, batch: Sequence[_Waiting[Ask, Given]]) -> list[_Waiting[Ask, Given]]:
        """Says to each what became of its ask; gives those that were put off."""
        # One that is alone holds up nobody.
        urgent = 1 if len(batch) == 1 else sum(waiting.urgent for waiting in batch)
        answers: Sequence[Given | Refusal | PutOff] = ()
        try:
            async with self._opened() as work:
                answers = await self._carry_out(work, [waiting.ask for waiting in batch], urgent)
        except Exception as fault:
            # A passing fault, such as a lost race: each is tried once more, on its own. Where the
            # news of a commit was lost it may have happened, so only those are tried for whom
            # nothing was done or who may ask again.
            lost = bool(answers) and not isinstance(fault, Conflict)
            for place, waiting in enumerate(batch):
                if lost and not (waiting.repeatable or isinstance(answers[place], PutOff)):
                    waiting.say(fault)
                else:
                    await self._answer_alone(waiting)
            return []
        put_off: list[_Waiting[Ask, Given]] = []
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, PutOff):
                put_off.append(replace(waiting, urgent=True))
            else:
                waiting.say(answer)
        return put_off

    async def _answer_alone(self, waiting: _Waiting[Ask, Given]) -> None:
        try:
            async with self._opened() as work:
                (answer,) = await self._carry_out(work, [waiting.ask], 1)
        except Exception as fault:
            waiting.say(fault)
        else:
            assert not isinstance(answer, PutOff)
            waiting.say(answer)
