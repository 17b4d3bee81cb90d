"""Runs over the whole store: rules 26 to 28 a few credits at a time, on both engines."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.benefit_grant import GrantKey
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.jobs import expiry_run, hold_run, renewal_run
from creditdesk.ledger.journal.mapping import MONEY, TIME
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import read_basket
from creditdesk.ledger.operations.holds import confirm, hold
from creditdesk.ledger.rules.credit import SourceKind
from tests.ledger.test_renewals import on_plan
from tests.ledger.town import NOON, Town, money

SOON = NOON + timedelta(hours=1)


async def swept(town: Town, batch: int = 2):
    return [each async for each in expiry_run(town.store, town.call(), town.desk, batch=batch)]


async def let_go(town: Town, batch: int = 2):
    return [each async for each in hold_run(town.store, town.call(), town.desk, batch=batch)]


async def renewed(town: Town, batch: int = 2):
    return [each async for each in renewal_run(town.store, town.call(), town.desk, batch=batch)]


async def held(town: Town, until=SOON) -> int:
    """A hold for half an hour of a booking; its group."""
    booking = await town.add_booking(hours=0.5)
    async with town.store.writing() as unit:
        whose, asked = Whose(town.customer, town.business), Asked(SourceKind.BOOKING, booking)
        basket = await read_basket(unit, whose, [asked], town.call())
        made = await hold(unit, basket, town.call(), town.desk, until)
    assert made.group is not None
    return made.group


async def expiries(town: Town) -> list[int]:
    return [line["CreditId"] for line in await town.rows(JournalLine, Kind="expiry")]


async def test_rule_28_lapsed_credits_get_their_line_batch_by_batch(town: Town):
    credits_ = [await town.add_money("10.00", ExpireDate=NOON) for _ in range(5)]
    hours = await town.add_time(60, ExpireDate=NOON)
    await town.add_time(60, ExpireDate=NOON, BookingId=1)
    await town.add_money("10.00", ExpireDate=SOON)
    await town.add_money("10.00")
    assert await swept(town) == [
        [(MONEY.kind, credits_[0]), (MONEY.kind, credits_[1])],
        [(MONEY.kind, credits_[2]), (MONEY.kind, credits_[3])],
        [(MONEY.kind, credits_[4])],
        [(TIME.kind, hours)],
    ]
    assert await swept(town) == []
    assert await town.money_left(credits_[0]) == money("10.00")


async def test_rule_28_runs_beside_each_other_write_each_line_once(town: Town):
    credits_ = [await town.add_money("10.00", ExpireDate=NOON) for _ in range(7)]
    both = await asyncio.gather(swept(town), swept(town))
    done = [account[1] for batches in both for batch in batches for account in batch]
    assert sorted(done) == credits_
    assert await expiries(town) == credits_


async def test_rule_28_extended_credit_is_swept_again_at_its_new_end(town: Town):
    credit = await town.add_money("10.00", ExpireDate=NOON)
    await swept(town)
    await town.change(credit, ExpireDate=SOON)
    assert await swept(town) == []
    town.now = SOON
    assert await swept(town) == [[(MONEY.kind, credit)]]


async def test_rule_26_holds_that_timed_out_are_let_go_and_then_what_they_held_lapses(town: Town):
    credit = await town.add_money("10.00", ExpireDate=NOON + timedelta(days=2))
    group = await held(town)
    assert await let_go(town) == []
    town.now = NOON + timedelta(days=2)
    assert await swept(town) == [[]]
    assert await let_go(town) == [[group]]
    assert await let_go(town) == []
    assert await swept(town) == [[(MONEY.kind, credit)]]
    kinds = [line["Kind"] for line in await town.lines("money", credit)]
    assert kinds == ["grant", "hold", "release", "expiry"]


async def test_rule_26_runs_beside_each_other_let_each_hold_go_once(town: Town):
    await town.add_money("100.00")
    groups = [await held(town) for _ in range(5)]
    used, kept = await held(town), await held(town, until=None)
    async with town.store.writing() as unit:
        await confirm(unit, used, town.call(), town.desk)
    town.now = SOON
    both = await asyncio.gather(let_go(town), let_go(town))
    assert sorted(group for batches in both for batch in batches for group in batch) == groups
    assert len(await town.rows(JournalLine, Kind="release")) == len(groups) + 1
    states = {h["Group"]: h["State"] for h in await town.rows(Hold)}
    assert states == {**dict.fromkeys(groups, "released"), used: "confirmed", kept: "held"}
    (state,) = await town.rows(CreditState)
    assert state["Held"] == money("10.00")


async def test_rule_27_contracts_renew_in_batches_and_once_whatever_runs_beside(town: Town):
    for _ in range(3):
        await on_plan(town)
    both = await asyncio.gather(renewed(town, batch=3), renewed(town, batch=3))
    made = [due.key for batches in both for batch in batches for due, _ in batch]
    assert len(made) == len(set(made)) == 6
    assert sorted(key["Key"] for key in await town.rows(GrantKey)) == sorted(made)
    town.now = NOON + timedelta(days=31)
    assert [len(batch) for batch in await renewed(town, batch=4)] == [4, 2]
