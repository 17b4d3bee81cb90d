"""Errors that random simulations found, each as its shortest sequence of operations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import MONEY_MAPPING
from creditdesk.ledger.loaders.coverage import covered_amounts
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings
from creditdesk.ledger.operations.corrections import adjust, reverse
from creditdesk.ledger.operations.holds import create_hold, release_due_holds
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.repository import Store
from creditdesk.schema.service import RequestContext
from tests.support.ledger_builder import MONEY_USE, NOON, LedgerBuilder, money


@pytest.fixture
async def ledger(store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(store)


def request_context(ledger: LedgerBuilder) -> RequestContext:
    return ledger.request_context()


async def test_rule_30_use_named_twice_is_reversed_once(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "4.00"))["Id"])
    await ledger.post_use(credit, "4.00")
    async with ledger.store.write_session() as unit:
        backs = await reverse(unit, MONEY_MAPPING, [use, use], request_context(ledger), ledger.context)
    assert [back.amount for back in backs] == [money("4.00"), 0]
    assert await ledger.remaining_money(credit) == money("6.00")


async def test_rule_2_reversal_after_adjustment_raises_total(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("10.00")
    use = int((await ledger.post_use(credit, "10.00"))["Id"])
    async with ledger.store.write_session() as unit:
        account = (MONEY_MAPPING.account_type, credit)
        await adjust(unit, account, money("10.00"), "goodwill", request_context(ledger), ledger.context)
    async with ledger.store.write_session() as unit:
        await reverse(unit, MONEY_MAPPING, [use], request_context(ledger), ledger.context)
    record = await ledger.get(MONEY_MAPPING.credit_entity, credit)
    assert (record["TotalCredit"], record["RemainingCredit"]) == (money("20.00"), money("20.00"))
    rows = await ledger.find(MONEY_USE, CoworkerBookingCreditId=credit)
    assert sum(row["CreditUsed"] for row in rows) == 0


async def test_rule_26_half_charged_hold_group_releases_the_rest(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("100.00")
    bookings = [await ledger.add_booking(hours=1) for _ in range(2)]
    items = [ItemRequest(SourceKind.BOOKING, booking) for booking in bookings]
    async with ledger.store.write_session() as unit:
        basket = await load_basket(unit, Buyer(ledger.customer), items, request_context(ledger))
        until = NOON + timedelta(hours=1)
        held = await create_hold(unit, basket, request_context(ledger), ledger.context, until)
        await charge_bookings(unit, bookings[:1], request_context(ledger), ledger.context)
    ledger.now = NOON + timedelta(hours=2)
    async with ledger.store.write_session() as unit:
        assert await release_due_holds(unit, request_context(ledger), ledger.context) == [held.group]
    (state,) = await ledger.find(AccountState, CreditKind="money", CreditId=credit)
    assert state["Held"] == 0
    assert await ledger.remaining_money(credit) == money("80.00")


async def test_rule_25_use_covers_its_own_allocation(ledger: LedgerBuilder) -> None:
    time = await ledger.add_time_credit(60)
    booking = await ledger.add_booking(hours=1)
    async with ledger.store.write_session() as unit:
        await charge_bookings(unit, [booking], request_context(ledger), ledger.context)
        await cancel_bookings(unit, [booking], request_context(ledger), ledger.context)
        await unit.update(Booking, [(booking, {"OverridePrice": money("50.00")})])
        await charge_bookings(unit, [booking], request_context(ledger), ledger.context)
        [covered] = (await covered_amounts(unit, [SourceKey(SourceKind.BOOKING, booking)])).values()
    assert await ledger.remaining_uses(time) == 0
    assert covered == money("50.00")


async def test_rule_25_later_allocation_in_same_second_ignores_earlier_payment(
    ledger: LedgerBuilder,
) -> None:
    time = await ledger.add_time_credit(30)
    booking = await ledger.add_booking(hours=0.25)
    items = [ItemRequest(SourceKind.BOOKING, booking)]
    async with ledger.store.write_session() as unit:
        await charge_bookings(unit, [booking], request_context(ledger), ledger.context)
    assert await ledger.remaining_uses(time) == 15
    ledger.now += timedelta(microseconds=1)
    async with ledger.store.write_session() as unit:
        longer = ledger.now + timedelta(days=1, hours=2)
        await unit.update(Booking, [(booking, {"ToTime": longer, "OverridePrice": money("9.00")})])
        basket = await load_basket(unit, Buyer(ledger.customer), items, request_context(ledger))
        assert basket.sources[0].price == money("4.00")
        await create_hold(unit, basket, request_context(ledger), ledger.context)
        [covered] = (await covered_amounts(unit, [SourceKey(SourceKind.BOOKING, booking)])).values()
    assert covered == money("5.00")
