"""The proof that a call changed nothing is itself put to the proof."""

from __future__ import annotations

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.ledger.journal.mapping import MONEY, state_id
from creditdesk.ledger.operations.corrections import adjust, void
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Refusal
from creditdesk.schema.repository import Store
from tests.builders import Builder
from tests.ledger.town import Town, money
from tests.stateful.life import LEDGER
from tests.stateful.traces import Traces

EVERYTHING: dict[type[Entity], int] = dict.fromkeys(LEDGER, 0)


@pytest.fixture
async def town(quick_store: Store) -> Town:
    return await Town.founded(quick_store)


async def test_what_only_looks_or_locks_leaves_no_trace(town: Town, traces: Traces):
    credit = await town.add_money("10.00")
    before = await traces.trace(EVERYTHING)
    await town.money_left(credit)
    async with town.store.writing() as unit:
        await unit.lock(CoworkerBookingCredit, [credit])
    assert await traces.trace(EVERYTHING) == before


async def test_what_is_undone_leaves_no_trace(town: Town, traces: Traces):
    credit = await town.add_money("10.00")
    await town.use(credit, "1.00")
    before = await traces.trace(EVERYTHING)
    with pytest.raises(Refusal):
        async with town.store.writing() as unit:
            await void(unit, [(MONEY.kind, credit)], "", town.call(), town.desk)
            await adjust(unit, (MONEY.kind, credit), 0, "", town.call(), town.desk)
    assert await traces.trace(EVERYTHING) == before


@pytest.mark.parametrize("entity", LEDGER, ids=lambda entity: entity.__name__)
async def test_a_row_that_is_added_leaves_a_trace(
    town: Town, traces: Traces, build: Builder, entity: type[Entity]
):
    before = await traces.trace(EVERYTHING)
    await build.make(entity)
    assert await traces.trace(EVERYTHING) != before


async def test_a_row_that_is_changed_leaves_a_trace(town: Town, traces: Traces):
    credit = await town.add_money("10.00")
    before = await traces.trace(EVERYTHING)
    async with town.store.writing() as unit:
        await unit.update(CoworkerBookingCredit, [(credit, {"TotalCredit": money("10.01")})])
    assert await traces.trace(EVERYTHING) != before


async def test_a_row_that_is_removed_leaves_a_trace(town: Town, traces: Traces):
    credit = await town.add_money("10.00")
    before = await traces.trace(EVERYTHING)
    async with town.store.writing() as unit:
        await unit.delete(CoworkerBookingCredit, [credit])
    assert await traces.trace(EVERYTHING) != before


async def test_a_state_that_is_changed_leaves_a_trace(town: Town, traces: Traces):
    credit = await town.add_money("10.00")
    await town.use(credit, "1.00")
    marks = {**dict.fromkeys(LEDGER, 10**9), CoworkerBookingCredit: credit - 1}
    before = await traces.trace(marks)
    async with town.store.writing() as unit:
        await unit.update(CreditState, [(state_id((MONEY.kind, credit)), {"Priority": 7})])
    assert await traces.trace(marks) != before
