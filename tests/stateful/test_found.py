"""What random lives have found, each as the shortest life that shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.journal.mapping import MONEY
from creditdesk.ledger.loaders.coverage import covered_so_far
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import read_basket
from creditdesk.ledger.operations.bookings import cancel_bookings, charge_bookings
from creditdesk.ledger.operations.corrections import adjust, reverse
from creditdesk.ledger.operations.holds import hold, release_due
from creditdesk.ledger.rules.credit import SourceKey, SourceKind
from creditdesk.schema.repository import Store
from creditdesk.schema.service import Call
from tests.ledger.town import MONEY_USE, NOON, Town, money


@pytest.fixture
async def town(store: Store) -> Town:
    return await Town.founded(store)


def call(town: Town) -> Call:
    return town.call()


async def test_rule_30_a_use_that_is_named_twice_comes_back_once(town: Town):
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "4.00"))["Id"])
    await town.use(credit, "4.00")
    async with town.store.writing() as unit:
        backs = await reverse(unit, MONEY, [use, use], call(town), town.desk)
    assert [back.amount for back in backs] == [money("4.00"), 0]
    assert await town.money_left(credit) == money("6.00")


async def test_rule_2_what_comes_back_after_a_correction_raises_the_total(town: Town):
    credit = await town.add_money("10.00")
    use = int((await town.use(credit, "10.00"))["Id"])
    async with town.store.writing() as unit:
        account = (MONEY.kind, credit)
        await adjust(unit, account, money("10.00"), "goodwill", call(town), town.desk)
    async with town.store.writing() as unit:
        await reverse(unit, MONEY, [use], call(town), town.desk)
    record = await town.get(MONEY.credit, credit)
    assert (record["TotalCredit"], record["RemainingCredit"]) == (money("20.00"), money("20.00"))
    rows = await town.rows(MONEY_USE, CoworkerBookingCreditId=credit)
    assert sum(row["CreditUsed"] for row in rows) == 0


async def test_rule_26_a_group_that_is_half_charged_lets_the_other_half_go(town: Town):
    credit = await town.add_money("100.00")
    bookings = [await town.add_booking(hours=1) for _ in range(2)]
    asked = [Asked(SourceKind.BOOKING, booking) for booking in bookings]
    async with town.store.writing() as unit:
        basket = await read_basket(unit, Whose(town.customer), asked, call(town))
        until = NOON + timedelta(hours=1)
        held = await hold(unit, basket, call(town), town.desk, until)
        await charge_bookings(unit, bookings[:1], call(town), town.desk)
    town.now = NOON + timedelta(hours=2)
    async with town.store.writing() as unit:
        assert await release_due(unit, call(town), town.desk) == [held.group]
    (state,) = await town.rows(CreditState, CreditKind="money", CreditId=credit)
    assert state["Held"] == 0
    assert await town.money_left(credit) == money("80.00")


async def test_rule_25_a_use_covers_what_its_own_decision_said(town: Town):
    time = await town.add_time(60)
    booking = await town.add_booking(hours=1)
    async with town.store.writing() as unit:
        await charge_bookings(unit, [booking], call(town), town.desk)
        await cancel_bookings(unit, [booking], call(town), town.desk)
        await unit.update(Booking, [(booking, {"OverridePrice": money("50.00")})])
        await charge_bookings(unit, [booking], call(town), town.desk)
        covered = await covered_so_far(unit, SourceKey(SourceKind.BOOKING, booking))
    assert await town.uses_left(time) == 0
    assert covered == money("50.00")


async def test_rule_25_a_decision_of_the_same_second_covers_nothing_that_was_paid_before_it(
    town: Town,
):
    time = await town.add_time(30)
    booking = await town.add_booking(hours=0.25)
    asked = [Asked(SourceKind.BOOKING, booking)]
    async with town.store.writing() as unit:
        await charge_bookings(unit, [booking], call(town), town.desk)
    assert await town.uses_left(time) == 15
    town.now += timedelta(microseconds=1)
    async with town.store.writing() as unit:
        longer = town.now + timedelta(days=1, hours=2)
        await unit.update(Booking, [(booking, {"ToTime": longer, "OverridePrice": money("9.00")})])
        basket = await read_basket(unit, Whose(town.customer), asked, call(town))
        assert basket.sources[0].price == money("4.00")
        await hold(unit, basket, call(town), town.desk)
        covered = await covered_so_far(unit, SourceKey(SourceKind.BOOKING, booking))
    assert covered == money("5.00")
