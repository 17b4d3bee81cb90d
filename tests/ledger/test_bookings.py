"""Charging, cancelling and recalculating bookings, and holds: rules 12 to 26, on both engines."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from creditdesk.api.default_service import DefaultService
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import Basket, load_basket
from creditdesk.ledger.operations.bookings import (
    CancelResult,
    ChargeResult,
    cancel_bookings,
    charge_bookings,
    recalculate_booking,
)
from creditdesk.ledger.operations.draw import preview
from creditdesk.ledger.operations.holds import (
    confirm_hold,
    create_hold,
    release_due_holds,
    release_hold,
)
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.ledger.services import ALREADY_CHARGED, BookingService
from creditdesk.schema.errors import NotFound, StateConflict, ValidationError
from creditdesk.schema.service import Principal
from tests.support.ledger_builder import MONEY_USE, NOON, TIME_USE, LedgerBuilder, money


async def charge(ledger: LedgerBuilder, *bookings: int) -> list[ChargeResult]:
    async with ledger.store.write_session() as session:
        return await charge_bookings(session, bookings, ledger.request_context(), ledger.context)


async def cancel(ledger: LedgerBuilder, booking: int) -> CancelResult:
    async with ledger.store.write_session() as session:
        (done,) = await cancel_bookings(session, [booking], ledger.request_context(), ledger.context)
        return done


async def load(ledger: LedgerBuilder, *items: ItemRequest) -> Basket:
    async with ledger.store.read_session() as session:
        buyer = Buyer(ledger.customer, ledger.business)
        return await load_basket(session, buyer, items, ledger.request_context())


async def test_rule_23_charging_takes_time_then_money_then_charges_the_rest(
    ledger: LedgerBuilder,
) -> None:
    time = await ledger.add_time_credit(60)
    money_credit = await ledger.add_money_credit("15.00")
    booking = await ledger.add_booking(hours=3)
    (charged,) = await charge(ledger, booking)
    assert await ledger.remaining_uses(time) == 0
    assert await ledger.remaining_money(money_credit) == 0
    assert charged.charge_id is not None
    rest = await ledger.get(CoworkerExtraService, charged.charge_id)
    assert (rest["Price"], rest["BookingId"], rest["TotalUses"]) == (money("25.00"), booking, 180)
    record = await ledger.get(Booking, booking)
    assert record["Invoiced"]
    assert record["CoworkerExtraServiceIds"] == str(rest["Id"])
    (time_row,), (money_row,) = await ledger.find(TIME_USE), await ledger.find(MONEY_USE)
    assert (time_row["BookingId"], time_row["CreditUsed"]) == (booking, 60)
    assert (money_row["BookingId"], money_row["CreditUsed"]) == (booking, money("15.00"))


async def test_rule_23_charging_twice_changes_nothing_the_second_time(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=1)
    await asyncio.gather(charge(ledger, booking), charge(ledger, booking))
    (again,) = await charge(ledger, booking)
    assert again.allocation is None
    assert await ledger.remaining_money(credit) == money("80.00")
    assert len(await ledger.find(MONEY_USE)) == 1


async def test_rule_15_a_tentative_booking_is_not_charged(ledger: LedgerBuilder) -> None:
    booking = await ledger.add_booking(Tentative=True)
    with pytest.raises(StateConflict, match="tentative"):
        await charge(ledger, booking)


async def test_rule_19_a_spend_stores_the_document_of_its_preview(ledger: LedgerBuilder) -> None:
    await ledger.add_money_credit("5.00", ExpireDate=NOON)
    await ledger.add_money_credit("50.00")
    booking = await ledger.add_booking(hours=1)
    shown = preview(
        await load(ledger, ItemRequest(SourceKind.BOOKING, booking)), ledger.context, ledger.now
    ).to_document()
    sources: Any = shown["sources"]
    await charge(ledger, booking)
    (kept,) = await ledger.find(AllocationDocument)
    assert kept["Document"]["parts"] == sources[0]["parts"]
    reasons = [seen["reason"] for seen in kept["Document"]["considered"]]
    assert reasons == ["expired", "used"]


async def test_rule_16_a_team_shares_the_credit_of_its_paying_member(ledger: LedgerBuilder) -> None:
    payer = await ledger.add_customer("Grace")
    shared = await ledger.add_money_credit("50.00", CoworkerId=payer)
    own = await ledger.add_money_credit("5.00")
    await ledger.add(
        Team, Name="Mill team", BusinessId=ledger.business, PayingMemberId=payer,
        ShareBookingCredit=True, TeamMembers=(ledger.customer, payer),
    )  # fmt: skip
    await charge(ledger, await ledger.add_booking(hours=1))
    assert await ledger.remaining_money(own) == 0
    assert await ledger.remaining_money(shared) == money("35.00")


async def test_rule_18_an_explicit_priority_goes_first(ledger: LedgerBuilder) -> None:
    first, second = await ledger.add_money_credit("50.00"), await ledger.add_money_credit("50.00")
    await ledger.post_use(second, "0.00")
    (state,) = await ledger.find(AccountState, CreditKind="money", CreditId=second)
    async with ledger.store.write_session() as session:
        await session.update(AccountState, [(state["Id"], {"Priority": 1})])
    await charge(ledger, await ledger.add_booking(hours=1))
    assert [await ledger.remaining_money(c) for c in (first, second)] == [
        money("50.00"),
        money("30.00"),
    ]


async def test_rule_24_a_charged_booking_is_cancelled_not_deleted(ledger: LedgerBuilder) -> None:
    time, credit = await ledger.add_time_credit(60), await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=4)
    await charge(ledger, booking)
    with pytest.raises(StateConflict) as blocked:
        async with ledger.store.write_session() as session:
            writer = BookingService(ledger.context, DefaultService())
            before = await ledger.get(Booking, booking)
            await writer.delete(session, Booking, before, ledger.request_context())
    assert blocked.value.message == ALREADY_CHARGED
    assert ALREADY_CHARGED == "This booking has already been charged to this customer."
    done = await cancel(ledger, booking)
    assert not done.removed
    assert [back.amount for back in done.reversals] == [money("60.00"), 60]
    assert (await ledger.remaining_uses(time), await ledger.remaining_money(credit)) == (
        60,
        money("100.00"),
    )
    assert not (await ledger.get(Booking, booking))["Invoiced"]
    assert (await cancel(ledger, booking)).reversals == ()


async def test_rule_24_an_invoiced_charge_is_not_reverted_silently(ledger: LedgerBuilder) -> None:
    booking = await ledger.add_booking(hours=1)
    (charged,) = await charge(ledger, booking)
    assert charged.charge_id is not None
    async with ledger.store.write_session() as session:
        await session.update(CoworkerExtraService, [(charged.charge_id, {"Invoiced": True})])
    with pytest.raises(StateConflict, match="Credit the invoice first"):
        await cancel(ledger, booking)


async def test_rule_24_cancelling_removes_a_booking_without_uses(ledger: LedgerBuilder) -> None:
    booking = await ledger.add_booking()
    assert (await cancel(ledger, booking)).removed
    assert await ledger.find(Booking) == []


async def test_rule_25_recalculation_previews_then_applies_new_credit(
    ledger: LedgerBuilder,
) -> None:
    early = await ledger.add_money_credit("5.00")
    booking = await ledger.add_booking(hours=1)
    await charge(ledger, booking)
    late = await ledger.add_money_credit("50.00")
    async with ledger.store.write_session() as session:
        shown = await recalculate_booking(session, booking, ledger.request_context(), ledger.context, dry_run=True)
    assert shown.before == {f"money/{early}": money("5.00")}
    assert shown.after == {f"money/{early}": money("5.00"), f"money/{late}": money("15.00")}
    assert await ledger.remaining_money(late) == money("50.00")
    async with ledger.store.write_session() as session:
        await recalculate_booking(session, booking, ledger.request_context(), ledger.context)
    assert await ledger.remaining_money(late) == money("35.00")
    charges = await ledger.find(CoworkerExtraService, BookingId=booking)
    assert charges == []


async def test_rule_25_shortening_a_booking_reverses_the_difference_in_one_transaction(
    ledger: LedgerBuilder,
) -> None:
    credit = await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=3)
    await charge(ledger, booking)
    before = await ledger.get(Booking, booking)
    async with ledger.store.write_session() as session:
        writer = BookingService(ledger.context, DefaultService())
        shorter = {"ToTime": before["FromTime"] + timedelta(hours=1)}
        await writer.update(session, Booking, before, shorter, ledger.request_context())
    assert await ledger.remaining_money(credit) == money("80.00")
    assert (await ledger.get(Booking, booking))["Invoiced"]


async def test_rule_25_recalculation_previews_the_difference(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=3)
    await charge(ledger, booking)
    starts = (await ledger.get(Booking, booking))["FromTime"]
    async with ledger.store.write_session() as session:
        await session.update(Booking, [(booking, {"ToTime": starts + timedelta(hours=1)})])
    async with ledger.store.write_session() as session:
        shown = await recalculate_booking(session, booking, ledger.request_context(), ledger.context, dry_run=True)
    assert shown.before == {f"money/{credit}": money("60.00")}
    assert shown.after == {f"money/{credit}": money("20.00")}
    assert shown.uncovered == 0


async def test_charge_now_charges_on_create(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("100.00")
    values = {c.name: c.field.default_value for c in Booking.meta().stored_columns} | {
        "ResourceId": ledger.resource, "CoworkerId": ledger.customer, "ChargeNow": True,
        "FromTime": NOON, "ToTime": NOON + timedelta(hours=1),
    }  # fmt: skip
    async with ledger.store.write_session() as session:
        await BookingService(ledger.context, DefaultService()).create(
            session, Booking, values, ledger.request_context()
        )
    assert await ledger.remaining_money(credit) == money("80.00")


async def test_rule_26_a_hold_lowers_available_not_remaining(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("30.00")
    booking = await ledger.add_booking(hours=1)
    async with ledger.store.write_session() as session:
        read = await load(ledger, ItemRequest(SourceKind.BOOKING, booking))
        held = await create_hold(session, read, ledger.request_context(), ledger.context)
    assert held.group is not None
    assert await ledger.remaining_money(credit) == money("30.00")
    with pytest.raises(ValidationError, match="that is not held"):
        await ledger.post_use(credit, "10.01")
    async with ledger.store.write_session() as session:
        assert await confirm_hold(session, held.group, ledger.request_context(), ledger.context)
    async with ledger.store.write_session() as session:
        assert not await confirm_hold(session, held.group, ledger.request_context(), ledger.context)
    with pytest.raises(StateConflict, match="became uses"):
        async with ledger.store.write_session() as session:
            await release_hold(session, held.group, ledger.request_context(), ledger.context)
    assert await ledger.remaining_money(credit) == money("10.00")
    kinds = [line["Kind"] for line in await ledger.journal_lines("money", credit)]
    assert kinds == ["grant", "hold", "release", "use"]
    await ledger.post_use(credit, "10.00")


async def test_rule_26_a_hold_is_released_once_or_times_out(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("30.00")
    first, second = await ledger.add_booking(hours=1), await ledger.add_booking(hours=0.5)
    groups = []
    for booking in (first, second):
        async with ledger.store.write_session() as session:
            read = await load(ledger, ItemRequest(SourceKind.BOOKING, booking))
            until = NOON + timedelta(hours=1)
            held = await create_hold(session, read, ledger.request_context(), ledger.context, until)
            assert held.group is not None
            groups.append(held.group)
    async with ledger.store.write_session() as session:
        assert await release_hold(session, groups[0], ledger.request_context(), ledger.context)
        assert not await release_hold(session, groups[0], ledger.request_context(), ledger.context)
    ledger.now = NOON + timedelta(hours=2)
    with pytest.raises(StateConflict, match="timed out"):
        async with ledger.store.write_session() as session:
            await confirm_hold(session, groups[1], ledger.request_context(), ledger.context)
    async with ledger.store.write_session() as session:
        assert await release_due_holds(session, ledger.request_context(), ledger.context) == [groups[1]]
    (state,) = await ledger.find(AccountState, CreditId=credit)
    assert state["Held"] == 0
    assert {h["State"] for h in await ledger.find(Hold)} == {"released"}
    stranger = Principal(2, "far@example.com", locations=frozenset({999}))
    with pytest.raises(NotFound):
        async with ledger.store.write_session() as session:
            await release_hold(session, groups[0], ledger.request_context(caller=stranger), ledger.context)


async def test_rule_26_charging_turns_the_hold_into_uses_of_the_same_credit(
    ledger: LedgerBuilder,
) -> None:
    held_credit = await ledger.add_money_credit("30.00", ExpireDate=NOON + timedelta(days=9))
    booking = await ledger.add_booking(hours=1)
    async with ledger.store.write_session() as session:
        read = await load(ledger, ItemRequest(SourceKind.BOOKING, booking))
        await create_hold(session, read, ledger.request_context(), ledger.context)
    sooner = await ledger.add_money_credit("30.00", ExpireDate=NOON + timedelta(days=2))
    await charge(ledger, booking)
    assert await ledger.remaining_money(held_credit) == money("10.00")
    assert await ledger.remaining_money(sooner) == money("30.00")
    assert [h["State"] for h in await ledger.find(Hold)] == ["confirmed"]


async def test_covered_price_is_not_charged_again(ledger: LedgerBuilder) -> None:
    await ledger.add_money_credit("100.00")
    booking = await ledger.add_booking(hours=1)
    await charge(ledger, booking)
    read = await load(ledger, ItemRequest(SourceKind.BOOKING, booking))
    assert [source.price for source in read.sources] == [0]
    await cancel(ledger, booking)
    read = await load(ledger, ItemRequest(SourceKind.BOOKING, booking))
    assert [source.price for source in read.sources] == [money("20.00")]
