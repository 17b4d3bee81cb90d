"""Scheduled jobs in batches: rules 26 to 28, on both engines."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.jobs import run_benefit_renewals, run_credit_expiry, run_hold_release
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket
from creditdesk.ledger.operations.holds import confirm_hold, create_hold
from creditdesk.ledger.rules.credit import SourceKind
from tests.ledger.test_renewals import add_contract
from tests.support.ledger_builder import NOON, LedgerBuilder, money

SOON = NOON + timedelta(hours=1)


async def run_expiry(ledger: LedgerBuilder, batch: int = 2) -> list[Any]:
    return [
        each async for each in run_credit_expiry(ledger.store, ledger.request_context(), ledger.context, batch=batch)
    ]


async def run_releases(ledger: LedgerBuilder, batch: int = 2) -> list[Any]:
    return [
        each async for each in run_hold_release(ledger.store, ledger.request_context(), ledger.context, batch=batch)
    ]


async def run_renewals_job(ledger: LedgerBuilder, batch: int = 2) -> list[Any]:
    return [
        each async for each in run_benefit_renewals(ledger.store, ledger.request_context(), ledger.context, batch=batch)
    ]


async def add_hold(ledger: LedgerBuilder, until: datetime | None = SOON) -> int:
    """Holds credit for a half-hour booking and returns the group."""
    booking = await ledger.add_booking(hours=0.5)
    async with ledger.store.write_session() as session:
        buyer, item = (
            Buyer(ledger.customer, ledger.business),
            ItemRequest(SourceKind.BOOKING, booking),
        )
        basket = await load_basket(session, buyer, [item], ledger.request_context())
        made = await create_hold(session, basket, ledger.request_context(), ledger.context, until)
    assert made.group is not None
    return made.group


async def expiry_amounts(ledger: LedgerBuilder) -> list[int]:
    return [line["CreditId"] for line in await ledger.find(JournalLine, Kind="expiry")]


async def test_rule_28_expired_credits_get_an_entry_in_batches(ledger: LedgerBuilder) -> None:
    credits_ = [await ledger.add_money_credit("10.00", ExpireDate=NOON) for _ in range(5)]
    hours = await ledger.add_time_credit(60, ExpireDate=NOON)
    await ledger.add_time_credit(60, ExpireDate=NOON, BookingId=1)
    await ledger.add_money_credit("10.00", ExpireDate=SOON)
    await ledger.add_money_credit("10.00")
    assert await run_expiry(ledger) == [
        [(MONEY_MAPPING.account_type, credits_[0]), (MONEY_MAPPING.account_type, credits_[1])],
        [(MONEY_MAPPING.account_type, credits_[2]), (MONEY_MAPPING.account_type, credits_[3])],
        [(MONEY_MAPPING.account_type, credits_[4])],
        [(TIME_MAPPING.account_type, hours)],
    ]
    assert await run_expiry(ledger) == []
    assert await ledger.remaining_money(credits_[0]) == money("10.00")


async def test_rule_28_concurrent_runs_write_each_entry_once(ledger: LedgerBuilder) -> None:
    credits_ = [await ledger.add_money_credit("10.00", ExpireDate=NOON) for _ in range(7)]
    both = await asyncio.gather(run_expiry(ledger), run_expiry(ledger))
    done = [account[1] for batches in both for batch in batches for account in batch]
    assert sorted(done) == credits_
    assert await expiry_amounts(ledger) == credits_


async def test_rule_28_an_extended_credit_expires_at_its_new_date(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON)
    await run_expiry(ledger)
    await ledger.update_credit(credit, ExpireDate=SOON)
    assert await run_expiry(ledger) == []
    ledger.now = SOON
    assert await run_expiry(ledger) == [[(MONEY_MAPPING.account_type, credit)]]


async def test_rule_26_timed_out_holds_are_released_then_expire(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00", ExpireDate=NOON + timedelta(days=2))
    group = await add_hold(ledger)
    assert await run_releases(ledger) == []
    ledger.now = NOON + timedelta(days=2)
    assert await run_expiry(ledger) == [[(MONEY_MAPPING.account_type, credit)]]
    assert await run_releases(ledger) == []
    assert [(h["Group"], h["State"]) for h in await ledger.find(Hold)] == [(group, "released")]
    kinds = [line["Kind"] for line in await ledger.journal_lines("money", credit)]
    assert kinds == ["grant", "hold", "release", "expiry"]


async def test_rule_26_concurrent_runs_release_each_hold_once(ledger: LedgerBuilder) -> None:
    await ledger.add_money_credit("100.00")
    groups = [await add_hold(ledger) for _ in range(5)]
    used, kept = await add_hold(ledger), await add_hold(ledger, until=None)
    async with ledger.store.write_session() as session:
        await confirm_hold(session, used, ledger.request_context(), ledger.context)
    ledger.now = SOON
    both = await asyncio.gather(run_releases(ledger), run_releases(ledger))
    assert sorted(group for batches in both for batch in batches for group in batch) == groups
    assert len(await ledger.find(JournalLine, Kind="release")) == len(groups) + 1
    states = {h["Group"]: h["State"] for h in await ledger.find(Hold)}
    assert states == {**dict.fromkeys(groups, "released"), used: "confirmed", kept: "held"}
    (state,) = await ledger.find(AccountState)
    assert state["Held"] == money("10.00")


async def test_rule_27_concurrent_runs_renew_each_contract_once(ledger: LedgerBuilder) -> None:
    for _ in range(3):
        await add_contract(ledger)
    both = await asyncio.gather(run_renewals_job(ledger, batch=3), run_renewals_job(ledger, batch=3))
    made = [due.key for batches in both for batch in batches for due, _ in batch]
    assert len(made) == len(set(made)) == 6
    assert sorted(key["Key"] for key in await ledger.find(BenefitGrant)) == sorted(made)
    ledger.now = NOON + timedelta(days=31)
    assert [len(batch) for batch in await run_renewals_job(ledger, batch=4)] == [4, 2]
