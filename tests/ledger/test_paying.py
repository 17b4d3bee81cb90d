"""What credit pays for, and how much, as the records say it: rules 3, 13, 14, 17, 21, 22 and 33."""

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
from creditdesk.ledger.loaders.sources import Asked, Whose
from creditdesk.ledger.operations.baskets import read_basket
from creditdesk.ledger.operations.bookings import charge_bookings
from creditdesk.ledger.operations.draw import Drawing, preview, spend
from creditdesk.ledger.rules.burn_down import SourceAllocation
from creditdesk.ledger.rules.credit import LedgerPolicy, SourceKind
from creditdesk.schema.errors import Invalid
from tests.ledger.town import MONEY_USE, Town, money


async def shown(town: Town, asked: Asked) -> SourceAllocation:
    """What a preview says of one source."""
    async with town.store.reading() as reading:
        whose = Whose(town.customer, town.business)
        basket = await read_basket(reading, whose, [asked], town.call())
    (source,) = preview(basket, town.policy, town.now).sources
    return source


async def reasons(town: Town, asked: Asked) -> dict[int, str]:
    """Why each credit does or does not pay, by its Id."""
    source = await shown(town, asked)
    return {seen.credit.id: seen.reason.value for seen in source.considered}


async def paid(town: Town, asked: Asked) -> SourceAllocation:
    """What a spend did for one source."""
    async with town.store.writing() as unit:
        whose = Whose(town.customer, town.business)
        basket = await read_basket(unit, whose, [asked], town.call())
        allocation, _ = await spend(unit, Drawing(basket, town.call(), town.policy), town.desk)
    return allocation.sources[0]


def charge_of(text: str) -> Asked:
    return Asked(SourceKind.CHARGE, 7, money(text))


async def ticket(town: Town, price: str, **event: Any) -> Asked:
    """A place at an event that starts tomorrow."""
    starts = town.now + timedelta(days=1)
    held = await town.add(
        CalendarEvent, Name="Talk", BusinessId=town.business, StartDate=starts,
        EndDate=starts + timedelta(hours=2), **event,
    )  # fmt: skip
    sold = await town.add(
        EventProduct, Name="Seat", CalendarEventId=held, Price=money(price),
        CurrencyId=town.currency, DisplayOrder=1, StartDate=town.now, EndDate=starts,
    )  # fmt: skip
    attendee = await town.add(
        EventAttendee, BusinessId=town.business, CalendarEventId=held, EventProductId=sold,
        CoworkerId=town.customer, FullName="Ada", Email="ada@example.com",
    )  # fmt: skip
    return Asked(SourceKind.EVENT_ATTENDANCE, attendee)


async def plan(town: Town, name: str, *, is_held: bool = False) -> int:
    """A plan of this location, perhaps one that the customer is on."""
    tariff = await town.add(
        Tariff, Name=name, BusinessId=town.business, CurrencyId=town.currency, Price=money("9.00")
    )
    if is_held:
        await town.add(
            CoworkerContract, IssuedById=town.business, CoworkerId=town.customer, TariffId=tariff,
            StartDate=town.now, BillingDay=1, Quantity=1, Active=True,
        )  # fmt: skip
    return tariff


async def test_rule_3_parts_of_a_price_that_no_credit_divides_sum_to_it(town: Town):
    """Three credits of a third each: what is paid and what is left sum to the last step."""
    odd = await town.add_rate(1, "17.35")
    booking = await town.add_booking(hours=0.25, ExtraServiceId=odd)
    asked = Asked(SourceKind.BOOKING, booking)
    for part in ("1.4467", "1.4467", "1.4466"):
        await town.add_money(part)
    source = await paid(town, asked)
    assert source.price == money("4.34"), "17.35 × 15 ÷ 60 = 4.3375"
    taken = [row["CreditUsed"] for row in await town.rows(MONEY_USE, BookingId=booking)]
    assert sum(taken) + source.uncovered == money("4.34")
    assert all(isinstance(amount, int) for amount in taken)


async def test_rule_13_a_booking_takes_credit_for_bookings_and_its_type_of_room(town: Town):
    other = await town.add(ResourceType, Name="Desk", BusinessId=town.business)
    not_for = await town.add_money("5.00", CaneBeUsedForBookings=False)
    elsewhere = await town.add_money("5.00", ElegibleResourceTypes=(other,))
    fits = await town.add_money("5.00", ElegibleResourceTypes=(other, town.room_type))
    asked = Asked(SourceKind.BOOKING, await town.add_booking())
    assert await reasons(town, asked) == {
        not_for: "not_for_bookings", elsewhere: "wrong_resource_type", fits: "used",
    }  # fmt: skip


async def test_rule_13_an_event_takes_credit_for_events_and_its_categories(town: Town):
    music, talks = [
        await town.add(CalendarEventCategory, Title=title, BusinessId=town.business)
        for title in ("Music", "Talks")
    ]
    not_for = await town.add_money("5.00")
    elsewhere = await town.add_money("5.00", CaneBeUsedForEvents=True, EventCategories=(music,))
    fits = await town.add_money("5.00", CaneBeUsedForEvents=True, EventCategories=(music, talks))
    asked = await ticket(town, "12.00", EventCategories=(talks,))
    assert await reasons(town, asked) == {
        not_for: "not_for_events", elsewhere: "wrong_event_category", fits: "used",
    }  # fmt: skip


async def test_rule_13_everything_else_takes_universal_credit_and_what_it_lists(town: Town):
    day, week = [
        await town.add(
            TimePass, Name=name, BusinessId=town.business, CurrencyId=town.currency,
            Price=money("30.00"),
        )
        for name in ("Day", "Week")
    ]  # fmt: skip
    coffee = await town.add(
        Product, Name="Coffee", BusinessId=town.business, CurrencyId=town.currency, Price=10_000
    )
    narrow = await town.add_money("5.00")
    for_product = await town.add_money("5.00", IsUniversalCredit=True, ElegibleProducts=(coffee,))
    for_day = await town.add_money("5.00", IsUniversalCredit=True, ElegiblePasses=(day,))
    for_charges = await town.add_money("5.00", IsUniversalCredit=True, AppliesToCharges=True)
    wide = await town.add_money("5.00", IsUniversalCredit=True)
    common = {narrow: "not_universal", for_product: "not_listed", wide: "used"}
    assert await reasons(town, Asked(SourceKind.TIME_PASS, day)) == {
        **common, for_day: "used", for_charges: "not_listed",
    }  # fmt: skip
    assert await reasons(town, Asked(SourceKind.TIME_PASS, week)) == {
        **common, for_day: "not_listed", for_charges: "not_listed",
    }  # fmt: skip
    assert await reasons(town, charge_of("20.00")) == {
        **common, for_day: "not_listed", for_charges: "used",
    }  # fmt: skip


async def test_rule_14_plans_limit_who_owns_narrow_credit_and_what_wide_credit_pays(town: Town):
    mine, other = await plan(town, "Flex", is_held=True), await plan(town, "Fixed")
    on_mine = await town.add_money("5.00", ElegibleTariffs=(mine,))
    on_other = await town.add_money("5.00", ElegibleTariffs=(other,))
    wide = await town.add_money("5.00", IsUniversalCredit=True, ElegibleTariffs=(other,))
    asked = Asked(SourceKind.BOOKING, await town.add_booking())
    assert await reasons(town, asked) == {on_mine: "used", on_other: "wrong_plan", wide: "used"}
    (contract,) = await town.rows(CoworkerContract, CoworkerId=town.customer)
    bill = Asked(SourceKind.PLAN, contract["Id"])
    assert (await reasons(town, bill))[wide] == "not_listed"
    await town.change(wide, ElegibleTariffs=(mine,))
    assert (await reasons(town, bill))[wide] == "used"


async def test_rule_17_credit_stays_in_its_location_unless_the_network_lets_it_go(town: Town):
    away = await town.add(Business, Name="Quay", CurrencyId=town.currency)
    here, there = await town.add_money("5.00"), await town.add_money("5.00", BusinessId=away)
    asked = Asked(SourceKind.BOOKING, await town.add_booking())
    assert await reasons(town, asked) == {here: "used", there: "other_location"}
    town.policy = LedgerPolicy(cross_location=True)
    assert await reasons(town, asked) == {here: "used", there: "used"}


async def test_rule_17_credit_never_pays_in_another_currency(town: Town):
    euro = await town.add(Currency, Code="EUR", Name="Euro")
    away = await town.add(Business, Name="Rive", CurrencyId=euro)
    there = await town.add_money("5.00", BusinessId=away)
    town.policy = LedgerPolicy(cross_location=True)
    asked = Asked(SourceKind.BOOKING, await town.add_booking())
    assert await reasons(town, asked) == {there: "other_currency"}
    assert (await paid(town, asked)).parts == ()
    assert await town.money_left(there) == money("5.00")


async def test_rule_21_minutes_pay_in_whole_steps_and_the_rest_is_in_proportion(town: Town):
    time = await town.add_time(40)
    booking = await town.add_booking(hours=1)
    source = await paid(town, Asked(SourceKind.BOOKING, booking))
    assert await town.uses_left(time) == 10, "two steps of 15 minutes"
    assert source.uncovered == money("10.00"), "20.00 × 30 ÷ 60"


async def test_rule_21_credit_prints_a_job_whole_or_not_at_all(town: Town):
    rate = await town.add_rate(5, "0.01", resource_types=(), IsPrintingCredit=True)
    prints = await town.add_time(10, ExtraServiceId=rate)
    eleven = await paid(town, Asked(SourceKind.PRINT_JOB, 1, print_units=11))
    assert (eleven.parts, await town.uses_left(prints)) == ((), 10)
    ten = await paid(town, Asked(SourceKind.PRINT_JOB, 2, print_units=10))
    assert (ten.uncovered, await town.uses_left(prints)) == (0, 0)


async def test_rule_22_credit_pays_the_credit_price_and_the_rest_is_at_the_standard_price(
    town: Town,
):
    rate = await town.add_rate(1, "20.00", CreditPrice=money("10.00"), IsDefaultPrice=True)
    credit = await town.add_money("5.00", UseCreditPrice=True)
    booking = await town.add_booking(hours=1, ExtraServiceId=rate)
    async with town.store.writing() as unit:
        (charged,) = await charge_bookings(unit, [booking], town.call(), town.desk)
    assert await town.money_left(credit) == 0
    rest = await town.get(CoworkerExtraService, charged.charge_id)
    assert rest["Price"] == money("10.00"), "5.00 at half price is half of 20.00"


async def test_rule_33_money_credit_has_no_overdraft(town: Town):
    credit = await town.add_money("5.00", IsUniversalCredit=True)
    with pytest.raises(Invalid):
        await town.use(credit, "5.0001")
    source = await paid(town, charge_of("8.00"))
    assert source.uncovered == money("3.00")
    assert await town.money_left(credit) == 0
