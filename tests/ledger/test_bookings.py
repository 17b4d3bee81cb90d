"""Charging, cancelling and deciding bookings again, and holds: rules 12 to 26, on both engines."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from creditdesk.api.default_service import PlainWriter
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import Basket, read_basket
from creditdesk.ledger.operations.bookings import (
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.draw import preview
from creditdesk.ledger.operations.holds import confirm, hold, release, release_due
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import CHARGED, BookingWriter
from creditdesk.schema.errors import Blocked, Invalid, NotFound
from creditdesk.schema.service import Caller
from tests.ledger.town import MONEY_USE, NOON, TIME_USE, Town, money


async def charge(town: Town, *bookings: int):
    async with town.store.writing() as unit:
        return await charge_bookings(unit, bookings, town.call(), town.desk)


async def cancel(town: Town, booking: int):
    async with town.store.writing() as unit:
        (done,) = await cancel_bookings(unit, [booking], town.call(), town.desk)
        return done


async def basket(town: Town, *asked: Asked) -> Basket:
    async with town.store.reading() as reading:
        whose = Whose(town.customer, town.business)
        return await read_basket(reading, whose, asked, town.call())


async def test_rule_23_charging_takes_time_then_money_then_charges_the_rest(town: Town):
    time = await town.add_time(60)
    money_credit = await town.add_money("15.00")
    booking = await town.add_booking(hours=3)
    (charged,) = await charge(town, booking)
    assert await town.uses_left(time) == 0
    assert await town.money_left(money_credit) == 0
    rest = await town.get(CoworkerExtraService, charged.charge_id)
    assert (rest["Price"], rest["BookingId"], rest["TotalUses"]) == (money("25.00"), booking, 180)
    record = await town.get(Booking, booking)
    assert record["Invoiced"]
    assert record["CoworkerExtraServiceIds"] == str(rest["Id"])
    (time_row,), (money_row,) = await town.rows(TIME_USE), await town.rows(MONEY_USE)
    assert (time_row["BookingId"], time_row["CreditUsed"]) == (booking, 60)
    assert (money_row["BookingId"], money_row["CreditUsed"]) == (booking, money("15.00"))


async def test_rule_23_charging_twice_changes_nothing_the_second_time(town: Town):
    credit = await town.add_money("100.00")
    booking = await town.add_booking(hours=1)
    await asyncio.gather(charge(town, booking), charge(town, booking))
    (again,) = await charge(town, booking)
    assert again.allocation is None
    assert await town.money_left(credit) == money("80.00")
    assert len(await town.rows(MONEY_USE)) == 1


async def test_rule_15_a_tentative_booking_is_not_charged(town: Town):
    booking = await town.add_booking(Tentative=True)
    with pytest.raises(Blocked, match="tentative"):
        await charge(town, booking)


async def test_rule_19_a_spend_keeps_the_document_that_the_preview_showed(town: Town):
    await town.add_money("5.00", ExpireDate=NOON)
    await town.add_money("50.00")
    booking = await town.add_booking(hours=1)
    shown = preview(
        await basket(town, Asked(SourceKind.BOOKING, booking)), town.policy, town.now
    ).to_document()
    await charge(town, booking)
    (kept,) = await town.rows(AllocationDocument)
    assert kept["Document"]["parts"] == shown["sources"][0]["parts"]
    reasons = [seen["reason"] for seen in kept["Document"]["considered"]]
    assert reasons == ["expired", "used"]


async def test_rule_16_a_team_shares_the_credit_of_its_paying_member(town: Town):
    payer = await town.add_customer("Grace")
    shared = await town.add_money("50.00", CoworkerId=payer)
    own = await town.add_money("5.00")
    await town.add(
        Team, Name="Mill team", BusinessId=town.business, PayingMemberId=payer,
        ShareBookingCredit=True, TeamMembers=(town.customer, payer),
    )  # fmt: skip
    await charge(town, await town.add_booking(hours=1))
    assert await town.money_left(own) == 0
    assert await town.money_left(shared) == money("35.00")


async def test_rule_18_an_explicit_priority_goes_first(town: Town):
    first, second = await town.add_money("50.00"), await town.add_money("50.00")
    await town.use(second, "0.00")
    (state,) = await town.rows(CreditState, CreditKind="money", CreditId=second)
    async with town.store.writing() as unit:
        await unit.update(CreditState, [(state["Id"], {"Priority": 1})])
    await charge(town, await town.add_booking(hours=1))
    assert [await town.money_left(c) for c in (first, second)] == [money("50.00"), money("30.00")]


async def test_rule_24_a_charged_booking_is_not_deleted_and_cancelling_gives_all_back(town: Town):
    time, credit = await town.add_time(60), await town.add_money("100.00")
    booking = await town.add_booking(hours=4)
    await charge(town, booking)
    with pytest.raises(Blocked) as blocked:
        async with town.store.writing() as unit:
            writer = BookingWriter(town.desk, PlainWriter())
            before = await town.get(Booking, booking)
            await writer.delete(unit, Booking, before, town.call())
    assert blocked.value.sentence == CHARGED
    assert CHARGED == "This booking has already been charged to this customer."
    done = await cancel(town, booking)
    assert not done.removed
    assert [back.amount for back in done.back] == [money("60.00"), 60]
    assert (await town.uses_left(time), await town.money_left(credit)) == (60, money("100.00"))
    assert not (await town.get(Booking, booking))["Invoiced"]
    assert (await cancel(town, booking)).back == ()


async def test_rule_24_an_invoiced_charge_is_not_reverted_silently(town: Town):
    booking = await town.add_booking(hours=1)
    (charged,) = await charge(town, booking)
    async with town.store.writing() as unit:
        await unit.update(CoworkerExtraService, [(charged.charge_id, {"Invoiced": True})])
    with pytest.raises(Blocked, match="rule 24"):
        await cancel(town, booking)


async def test_rule_24_a_booking_that_drew_nothing_goes_when_it_is_cancelled(town: Town):
    booking = await town.add_booking()
    assert (await cancel(town, booking)).removed
    assert await town.rows(Booking) == []


async def test_rule_25_late_credit_is_shown_first_and_then_applied(town: Town):
    early = await town.add_money("5.00")
    booking = await town.add_booking(hours=1)
    await charge(town, booking)
    late = await town.add_money("50.00")
    async with town.store.writing() as unit:
        shown = await recalculate_booking(unit, booking, town.call(), town.desk, only_show=True)
    assert shown.before == {f"money/{early}": money("5.00")}
    assert shown.after == {f"money/{early}": money("5.00"), f"money/{late}": money("15.00")}
    assert await town.money_left(late) == money("50.00")
    async with town.store.writing() as unit:
        await recalculate_booking(unit, booking, town.call(), town.desk)
    assert await town.money_left(late) == money("35.00")
    charges = await town.rows(CoworkerExtraService, BookingId=booking)
    assert charges == []


async def test_rule_25_a_shortened_booking_gives_back_in_the_same_transaction(town: Town):
    credit = await town.add_money("100.00")
    booking = await town.add_booking(hours=3)
    await charge(town, booking)
    before = await town.get(Booking, booking)
    async with town.store.writing() as unit:
        writer = BookingWriter(town.desk, PlainWriter())
        shorter = {"ToTime": before["FromTime"] + timedelta(hours=1)}
        await writer.update(unit, Booking, before, shorter, town.call())
    assert await town.money_left(credit) == money("80.00")
    assert (await town.get(Booking, booking))["Invoiced"]


async def test_rule_25_what_shortening_would_give_back_is_shown_first(town: Town):
    credit = await town.add_money("100.00")
    booking = await town.add_booking(hours=3)
    await charge(town, booking)
    starts = (await town.get(Booking, booking))["FromTime"]
    async with town.store.writing() as unit:
        await unit.update(Booking, [(booking, {"ToTime": starts + timedelta(hours=1)})])
    async with town.store.writing() as unit:
        shown = await recalculate_booking(unit, booking, town.call(), town.desk, only_show=True)
    assert shown.before == {f"money/{credit}": money("60.00")}
    assert shown.after == {f"money/{credit}": money("20.00")}
    assert shown.uncovered == 0


async def test_charge_now_charges_with_the_booking(town: Town):
    credit = await town.add_money("100.00")
    values = {c.name: c.kind.empty for c in Booking.shape().stored} | {
        "ResourceId": town.room, "CoworkerId": town.customer, "ChargeNow": True,
        "FromTime": NOON, "ToTime": NOON + timedelta(hours=1),
    }  # fmt: skip
    async with town.store.writing() as unit:
        await BookingWriter(town.desk, PlainWriter()).create(unit, Booking, values, town.call())
    assert await town.money_left(credit) == money("80.00")


async def test_rule_26_a_hold_lowers_what_is_available_and_not_what_remains(town: Town):
    credit = await town.add_money("30.00")
    booking = await town.add_booking(hours=1)
    async with town.store.writing() as unit:
        read = await basket(town, Asked(SourceKind.BOOKING, booking))
        held = await hold(unit, read, town.call(), town.desk)
    assert await town.money_left(credit) == money("30.00")
    with pytest.raises(Invalid, match="rule 26"):
        await town.use(credit, "10.01")
    async with town.store.writing() as unit:
        assert await confirm(unit, held.group, town.call(), town.desk)
    async with town.store.writing() as unit:
        assert not await confirm(unit, held.group, town.call(), town.desk)
    with pytest.raises(Blocked, match="became uses"):
        async with town.store.writing() as unit:
            await release(unit, held.group, town.call(), town.desk)
    assert await town.money_left(credit) == money("10.00")
    kinds = [line["Kind"] for line in await town.lines("money", credit)]
    assert kinds == ["grant", "hold", "release", "use"]
    await town.use(credit, "10.00")


async def test_rule_26_a_hold_is_let_go_once_and_times_out(town: Town):
    credit = await town.add_money("30.00")
    first, second = await town.add_booking(hours=1), await town.add_booking(hours=0.5)
    groups = []
    for booking in (first, second):
        async with town.store.writing() as unit:
            read = await basket(town, Asked(SourceKind.BOOKING, booking))
            until = NOON + timedelta(hours=1)
            held = await hold(unit, read, town.call(), town.desk, until)
            groups.append(held.group)
    async with town.store.writing() as unit:
        assert await release(unit, groups[0], town.call(), town.desk)
        assert not await release(unit, groups[0], town.call(), town.desk)
    town.now = NOON + timedelta(hours=2)
    with pytest.raises(Blocked, match="timed out"):
        async with town.store.writing() as unit:
            await confirm(unit, groups[1], town.call(), town.desk)
    async with town.store.writing() as unit:
        assert await release_due(unit, town.call(), town.desk) == [groups[1]]
    (state,) = await town.rows(CreditState, CreditId=credit)
    assert state["Held"] == 0
    assert {h["State"] for h in await town.rows(Hold)} == {"released"}
    stranger = Caller(2, "far@example.com", locations=frozenset({999}))
    with pytest.raises(NotFound):
        async with town.store.writing() as unit:
            await release(unit, groups[0], town.call(caller=stranger), town.desk)


async def test_rule_26_charging_turns_the_hold_into_uses_of_the_same_credit(town: Town):
    held_credit = await town.add_money("30.00", ExpireDate=NOON + timedelta(days=9))
    booking = await town.add_booking(hours=1)
    async with town.store.writing() as unit:
        read = await basket(town, Asked(SourceKind.BOOKING, booking))
        await hold(unit, read, town.call(), town.desk)
    sooner = await town.add_money("30.00", ExpireDate=NOON + timedelta(days=2))
    await charge(town, booking)
    assert await town.money_left(held_credit) == money("10.00")
    assert await town.money_left(sooner) == money("30.00")
    assert [h["State"] for h in await town.rows(Hold)] == ["confirmed"]


async def test_what_was_paid_is_not_asked_again(town: Town):
    await town.add_money("100.00")
    booking = await town.add_booking(hours=1)
    await charge(town, booking)
    read = await basket(town, Asked(SourceKind.BOOKING, booking))
    assert [source.price for source in read.sources] == [0]
    await cancel(town, booking)
    read = await basket(town, Asked(SourceKind.BOOKING, booking))
    assert [source.price for source in read.sources] == [money("20.00")]
