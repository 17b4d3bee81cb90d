"""Fields of recorded answers that no documentation names: made from our records where they follow from them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.user import User
from tests.support.api_client import BOOKINGS, ApiClient, created_id
from tests.support.ledger_builder import money

COWORKERS = "/api/spaces/coworkers"
CONSTANT = {
    "BookingProducts": [], "BookingVisitors": [], "ChargedExtraServices": [], "DisableConfirmation": False,
    "DiscountAmount": None, "EstimatedExtraService": None, "EstimatedProductCost": 0, "Invoice": None,
    "IsEvent": False, "IsTour": False, "OverrideResourceLimits": False, "SkipGoogleCalendarUpdate": False,
}  # fmt: skip


async def booking_fields(api: ApiClient, booking: int) -> dict[str, Any]:
    shown: dict[str, Any] = await api.get(f"{BOOKINGS}/{booking}")
    return shown


async def test_a_booking_shows_its_cost_and_the_credit_that_may_pay(api: ApiClient) -> None:
    await api.create_credit("15.00")
    await api.create_credit("80.00")
    await api.create_credit("7.00", CaneBeUsedForBookings=False, CaneBeUsedForEvents=True)
    booking = await api.create_booking(2)
    shown = await booking_fields(api, booking)
    assert [shown[name] for name in ("EstimatedCost", "EstimagedCost", "EstimatedCostWithProducts")] == [40, 40, 40]
    assert shown["AvailableCredit"] == 95
    assert shown["MinutesToStart"] in (24 * 60 - 1, 24 * 60)
    assert {name: shown[name] for name in CONSTANT} == CONSTANT
    [batch] = await api.get(f"{BOOKINGS}/", id=f"[{booking}]")
    assert (batch["EstimatedCost"], batch["AvailableCredit"]) == (40, 95)


async def test_a_list_of_bookings_prices_none_of_them(api: ApiClient) -> None:
    booking = await api.create_booking()
    [listed] = (await api.get(BOOKINGS, Id=booking))["Records"]
    assert listed["MinutesToStart"] in (24 * 60 - 1, 24 * 60)
    assert (listed["EstimatedCost"], listed["AvailableCredit"]) == (None, None)
    assert {name: listed[name] for name in CONSTANT} == CONSTANT


async def test_a_booking_without_a_customer_has_no_estimate(api: ApiClient) -> None:
    booking = await api.create_booking(CoworkerId=None)
    shown = await booking_fields(api, booking)
    assert (shown["EstimatedCost"], shown["AvailableCredit"]) == (None, None)


async def test_computed_fields_neither_filter_nor_take_values(api: ApiClient) -> None:
    booking = await api.create_booking()
    before = await booking_fields(api, booking)
    response = await api.http.put(BOOKINGS, json={**before, "EstimatedCost": 1, "IsTour": True})
    assert response.status_code == 200, response.text
    after = await booking_fields(api, booking)
    assert (after["EstimatedCost"], after["IsTour"]) == (20, False)
    assert (await api.get(BOOKINGS, Booking_EstimatedCost=3, Id=booking))["TotalItems"] == 1
    assert (await api.get(BOOKINGS, orderBy="EstimatedCost", Id=booking))["TotalItems"] == 1


@pytest.mark.parametrize("is_listed", [True, False])
async def test_a_customer_shows_teams_contracts_and_plan(api: ApiClient, is_listed: bool) -> None:
    customer, business, currency = api.ledger.customer, api.ledger.business, api.ledger.currency
    teams = [
        await api.ledger.add(Team, Name=name, BusinessId=business, TeamMembers=(customer,)) for name in ("Blue", "Red")
    ]
    flex, full = [
        await api.ledger.add(Tariff, Name=name, BusinessId=business, CurrencyId=currency) for name in ("Flex", "Full")
    ]
    contract: dict[str, Any] = {"CoworkerId": customer, "IssuedById": business, "Active": True}
    contracts = [
        await api.ledger.add(CoworkerContract, TariffId=full, **contract),
        await api.ledger.add(CoworkerContract, TariffId=flex, NextTariffId=full, MainContract=True, **contract),
    ]
    user = await api.ledger.add(User, FullName="Ada", Email=f"ada{customer}@x.example", Active=True)
    async with api.ledger.store.write_session() as session:
        await session.update(Coworker, [(customer, {"UserId": user})])
    if is_listed:
        [shown] = (await api.get(COWORKERS, Id=customer))["Records"]
    else:
        shown = await api.get(f"{COWORKERS}/{customer}")
    assert (shown["TeamIds"], shown["TeamName"]) == (teams, "Blue")
    assert (shown["CoworkerContractIds"], shown["TariffName"], shown["NextTariffId"]) == (contracts, "Flex", full)
    assert shown["UserActive"] is True


async def test_a_customer_without_teams_and_contracts(api: ApiClient) -> None:
    [shown] = (await api.get(COWORKERS, Id=api.ledger.customer))["Records"]
    names = ("TeamIds", "TeamName", "CoworkerContractIds", "TariffName", "NextTariffId", "UserActive")
    assert [shown[name] for name in names] == [[], None, [], None, None, None]


async def test_bookings_count_up_per_location(api: ApiClient) -> None:
    places = []
    for name in ("North", "South"):
        business = await api.ledger.add(Business, Name=name, CurrencyId=api.ledger.currency)
        places.append(await api.ledger.add(Resource, Name=f"Room {name}", BusinessId=business))
    shown = [await booking_fields(api, await api.create_booking(ResourceId=places[n])) for n in (0, 1, 0, 0, 1)]
    assert [each["BookingNumber"] for each in shown] == [1, 1, 2, 3, 2]
    assert shown[2]["ToStringText"] == "Room North (#2)"


async def test_bookings_made_at_once_get_different_numbers(api: ApiClient) -> None:
    business = await api.ledger.add(Business, Name="Rush", CurrencyId=api.ledger.currency)
    room = await api.ledger.add(Resource, Name="Room", BusinessId=business)
    first = await api.create_booking(ResourceId=room)
    await api.ledger.add(Booking, ResourceId=room, BookingNumber=7)
    made = await asyncio.gather(*(api.create_booking(ResourceId=room) for _ in range(12)))
    numbers = [(await booking_fields(api, booking))["BookingNumber"] for booking in (first, *made)]
    assert sorted(numbers) == list(range(1, 14))


async def test_the_first_bookings_of_a_location_race_for_its_sequence(api: ApiClient) -> None:
    business = await api.ledger.add(Business, Name="Opening", CurrencyId=api.ledger.currency)
    room = await api.ledger.add(Resource, Name="Room", BusinessId=business)
    await api.ledger.add(Booking, ResourceId=room, BookingNumber=40)
    made = await asyncio.gather(*(api.create_booking(ResourceId=room) for _ in range(3)))
    numbers = [(await booking_fields(api, booking))["BookingNumber"] for booking in made]
    assert sorted(numbers) == [41, 42, 43]


async def test_titles_are_those_of_recorded_answers(api: ApiClient) -> None:
    customer = created_id(
        await api.post(COWORKERS, {**(await api.get(f"{COWORKERS}/{api.ledger.customer}")), "Id": None} | WITH_EMAIL)
    )
    assert (await api.get(f"{COWORKERS}/{customer}"))["ToStringText"] == "Bo - bo@x.example"
    plan = await api.ledger.add(
        Tariff, Name="Flex", BusinessId=api.ledger.business, CurrencyId=api.ledger.currency, Price=money("99.50")
    )
    shown = await api.get(f"{Tariff.path()}/{plan}")
    assert shown["ToStringText"] == f"Flex ({shown['CurrencyCode']} 99.5)"


WITH_EMAIL: dict[str, Any] = {
    "FullName": "Bo", "Email": "bo@x.example", "CountryId": 1, "SimpleTimeZoneId": 1, "CoworkerType": 1,
}  # fmt: skip
