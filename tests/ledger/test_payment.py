"""What credit pays for, and how much: rules 3, 13, 14, 17, 21, 22 and 33."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.calendar_event_category import CalendarEventCategory
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.content.event_product import EventProduct
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.ledger.loaders.items import Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_basket
from creditdesk.ledger.operations.bookings import charge_bookings
from creditdesk.ledger.operations.draw import SpendPlan, preview
from creditdesk.ledger.rules.burn_down import SourceAllocation
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.errors import ValidationError
from creditdesk.settings import LedgerSettings
from tests.support.ledger_builder import MONEY_USE, LedgerBuilder, money
from tests.support.spending import execute_spend


async def preview_source(ledger: LedgerBuilder, item: ItemRequest) -> SourceAllocation:
    """The preview of a spend on one item."""
    async with ledger.store.read_session() as session:
        buyer = Buyer(ledger.customer, ledger.business)
        basket = await load_basket(session, buyer, [item], ledger.request_context())
    (source,) = preview(basket, ledger.context, ledger.now).sources
    return source


async def reason_codes(ledger: LedgerBuilder, item: ItemRequest) -> dict[int, str]:
    """Why each credit does or does not pay, by its Id."""
    source = await preview_source(ledger, item)
    return {seen.credit.id: seen.reason.value for seen in source.considered}


async def spend_source(ledger: LedgerBuilder, item: ItemRequest) -> SourceAllocation:
    """The allocation of a spend on one item."""
    async with ledger.store.write_session() as session:
        buyer = Buyer(ledger.customer, ledger.business)
        basket = await load_basket(session, buyer, [item], ledger.request_context())
        result = await execute_spend(
            session, SpendPlan(basket, ledger.request_context(), ledger.context), ledger.context
        )
    return result.allocation.sources[0]


def charge_item(text: str) -> ItemRequest:
    return ItemRequest(SourceKind.CHARGE, 7, money(text))


async def add_attendance(ledger: LedgerBuilder, price: str, **event: Any) -> ItemRequest:
    """Adds an attendance of an event that starts tomorrow."""
    starts = ledger.now + timedelta(days=1)
    held = await ledger.add(
        CalendarEvent, Name="Talk", BusinessId=ledger.business, StartDate=starts,
        EndDate=starts + timedelta(hours=2), **event,
    )  # fmt: skip
    sold = await ledger.add(
        EventProduct, Name="Seat", CalendarEventId=held, Price=money(price),
        CurrencyId=ledger.currency, DisplayOrder=1, StartDate=ledger.now, EndDate=starts,
    )  # fmt: skip
    attendee = await ledger.add(
        EventAttendee, BusinessId=ledger.business, CalendarEventId=held, EventProductId=sold,
        CoworkerId=ledger.customer, FullName="Ada", Email="ada@example.com",
    )  # fmt: skip
    return ItemRequest(SourceKind.EVENT_ATTENDANCE, attendee)


async def add_plan(ledger: LedgerBuilder, name: str, *, is_held: bool = False) -> int:
    """Adds a plan of this location; with `is_held` the customer has a contract on it."""
    tariff = await ledger.add(
        Tariff,
        Name=name,
        BusinessId=ledger.business,
        CurrencyId=ledger.currency,
        Price=money("9.00"),
    )
    if is_held:
        await ledger.add(
            CoworkerContract, IssuedById=ledger.business, CoworkerId=ledger.customer, TariffId=tariff,
            StartDate=ledger.now, BillingDay=1, Quantity=1, Active=True,
        )  # fmt: skip
    return tariff


async def test_rule_3_rounded_parts_sum_to_the_price(ledger: LedgerBuilder) -> None:
    """Three credits of a third each: parts and uncovered rest sum to the price exactly."""
    odd = await ledger.add_rate(1, "17.35")
    booking = await ledger.add_booking(hours=0.25, ExtraServiceId=odd)
    item = ItemRequest(SourceKind.BOOKING, booking)
    for part in ("1.4467", "1.4467", "1.4466"):
        await ledger.add_money_credit(part)
    source = await spend_source(ledger, item)
    assert source.price == money("4.34"), "17.35 × 15 ÷ 60 = 4.3375"
    taken = [row["CreditUsed"] for row in await ledger.find(MONEY_USE, BookingId=booking)]
    assert sum(taken) + source.uncovered == money("4.34")
    assert all(isinstance(amount, int) for amount in taken)


async def test_rule_13_a_booking_takes_credit_for_its_resource_type(ledger: LedgerBuilder) -> None:
    other = await ledger.add(ResourceType, Name="Desk", BusinessId=ledger.business)
    not_for = await ledger.add_money_credit("5.00", CaneBeUsedForBookings=False)
    elsewhere = await ledger.add_money_credit("5.00", ElegibleResourceTypes=(other,))
    fits = await ledger.add_money_credit("5.00", ElegibleResourceTypes=(other, ledger.resource_type))
    item = ItemRequest(SourceKind.BOOKING, await ledger.add_booking())
    assert await reason_codes(ledger, item) == {
        not_for: "not_for_bookings", elsewhere: "wrong_resource_type", fits: "used",
    }  # fmt: skip


async def test_rule_13_an_event_takes_credit_for_events_and_its_categories(
    ledger: LedgerBuilder,
) -> None:
    music, talks = [
        await ledger.add(CalendarEventCategory, Title=title, BusinessId=ledger.business) for title in ("Music", "Talks")
    ]
    not_for = await ledger.add_money_credit("5.00")
    elsewhere = await ledger.add_money_credit("5.00", CaneBeUsedForEvents=True, EventCategories=(music,))
    fits = await ledger.add_money_credit("5.00", CaneBeUsedForEvents=True, EventCategories=(music, talks))
    item = await add_attendance(ledger, "12.00", EventCategories=(talks,))
    assert await reason_codes(ledger, item) == {
        not_for: "not_for_events", elsewhere: "wrong_event_category", fits: "used",
    }  # fmt: skip


async def test_rule_13_other_items_take_universal_and_listed_credit(ledger: LedgerBuilder) -> None:
    day, week = [
        await ledger.add(
            TimePass, Name=name, BusinessId=ledger.business, CurrencyId=ledger.currency,
            Price=money("30.00"),
        )
        for name in ("Day", "Week")
    ]  # fmt: skip
    coffee = await ledger.add(
        Product, Name="Coffee", BusinessId=ledger.business, CurrencyId=ledger.currency, Price=10_000
    )
    narrow = await ledger.add_money_credit("5.00")
    for_product = await ledger.add_money_credit("5.00", IsUniversalCredit=True, ElegibleProducts=(coffee,))
    for_day = await ledger.add_money_credit("5.00", IsUniversalCredit=True, ElegiblePasses=(day,))
    for_charges = await ledger.add_money_credit("5.00", IsUniversalCredit=True, AppliesToCharges=True)
    wide = await ledger.add_money_credit("5.00", IsUniversalCredit=True)
    common = {narrow: "not_universal", for_product: "not_listed", wide: "used"}
    assert await reason_codes(ledger, ItemRequest(SourceKind.TIME_PASS, day)) == {
        **common, for_day: "used", for_charges: "not_listed",
    }  # fmt: skip
    assert await reason_codes(ledger, ItemRequest(SourceKind.TIME_PASS, week)) == {
        **common, for_day: "not_listed", for_charges: "not_listed",
    }  # fmt: skip
    assert await reason_codes(ledger, charge_item("20.00")) == {
        **common, for_day: "not_listed", for_charges: "used",
    }  # fmt: skip


async def test_rule_14_eligible_plans_limit_both_owner_and_source(ledger: LedgerBuilder) -> None:
    mine, other = await add_plan(ledger, "Flex", is_held=True), await add_plan(ledger, "Fixed")
    on_mine = await ledger.add_money_credit("5.00", ElegibleTariffs=(mine,))
    on_other = await ledger.add_money_credit("5.00", ElegibleTariffs=(other,))
    wide = await ledger.add_money_credit("5.00", IsUniversalCredit=True, ElegibleTariffs=(other,))
    item = ItemRequest(SourceKind.BOOKING, await ledger.add_booking())
    assert await reason_codes(ledger, item) == {
        on_mine: "used",
        on_other: "wrong_plan",
        wide: "used",
    }
    (contract,) = await ledger.find(CoworkerContract, CoworkerId=ledger.customer)
    bill = ItemRequest(SourceKind.PLAN, contract["Id"])
    assert (await reason_codes(ledger, bill))[wide] == "not_listed"
    await ledger.update_credit(wide, ElegibleTariffs=(mine,))
    assert (await reason_codes(ledger, bill))[wide] == "used"


async def test_rule_17_credit_stays_in_its_location_unless_cross_location_is_on(
    ledger: LedgerBuilder,
) -> None:
    away = await ledger.add(Business, Name="Quay", CurrencyId=ledger.currency)
    here, there = (
        await ledger.add_money_credit("5.00"),
        await ledger.add_money_credit("5.00", BusinessId=away),
    )
    item = ItemRequest(SourceKind.BOOKING, await ledger.add_booking())
    assert await reason_codes(ledger, item) == {here: "used", there: "other_location"}
    ledger.settings = LedgerSettings(cross_location=True)
    assert await reason_codes(ledger, item) == {here: "used", there: "used"}


async def test_rule_17_credit_never_pays_in_another_currency(ledger: LedgerBuilder) -> None:
    euro = await ledger.add(Currency, Code="EUR", Name="Euro")
    away = await ledger.add(Business, Name="Rive", CurrencyId=euro)
    there = await ledger.add_money_credit("5.00", BusinessId=away)
    ledger.settings = LedgerSettings(cross_location=True)
    item = ItemRequest(SourceKind.BOOKING, await ledger.add_booking())
    assert await reason_codes(ledger, item) == {there: "other_currency"}
    assert (await spend_source(ledger, item)).parts == ()
    assert await ledger.remaining_money(there) == money("5.00")


async def test_rule_21_minutes_pay_whole_intervals_and_a_proportional_rest(
    ledger: LedgerBuilder,
) -> None:
    time = await ledger.add_time_credit(40)
    booking = await ledger.add_booking(hours=1)
    source = await spend_source(ledger, ItemRequest(SourceKind.BOOKING, booking))
    assert await ledger.remaining_uses(time) == 10, "two steps of 15 minutes"
    assert source.uncovered == money("10.00"), "20.00 × 30 ÷ 60"


async def test_rule_21_a_print_job_is_paid_whole_or_not_at_all(ledger: LedgerBuilder) -> None:
    rate = await ledger.add_rate(5, "0.01", resource_types=(), IsPrintingCredit=True)
    prints = await ledger.add_time_credit(10, ExtraServiceId=rate)
    eleven = await spend_source(ledger, ItemRequest(SourceKind.PRINT_JOB, 1, print_units=11))
    assert (eleven.parts, await ledger.remaining_uses(prints)) == ((), 10)
    ten = await spend_source(ledger, ItemRequest(SourceKind.PRINT_JOB, 2, print_units=10))
    assert (ten.uncovered, await ledger.remaining_uses(prints)) == (0, 0)


async def test_rule_22_credit_pays_the_credit_price_and_the_rest_is_at_the_standard_price(
    ledger: LedgerBuilder,
) -> None:
    rate = await ledger.add_rate(1, "20.00", CreditPrice=money("10.00"), IsDefaultPrice=True)
    credit = await ledger.add_money_credit("5.00", UseCreditPrice=True)
    booking = await ledger.add_booking(hours=1, ExtraServiceId=rate)
    async with ledger.store.write_session() as session:
        (charged,) = await charge_bookings(session, [booking], ledger.request_context(), ledger.context)
    assert await ledger.remaining_money(credit) == 0
    assert charged.charge_id is not None
    rest = await ledger.get(CoworkerExtraService, charged.charge_id)
    assert rest["Price"] == money("10.00"), "5.00 at half price is half of 20.00"


async def test_rule_33_money_credit_has_no_overdraft(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("5.00", IsUniversalCredit=True)
    with pytest.raises(ValidationError):
        await ledger.post_use(credit, "5.0001")
    source = await spend_source(ledger, charge_item("8.00"))
    assert source.uncovered == money("3.00")
    assert await ledger.remaining_money(credit) == 0
