"""The imitated endpoint of a signed-in member's benefits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.user import User
from creditdesk.schema.repository import Store
from tests.support.api_client import BOOKINGS, ApiClient, parse_body, result_value
from tests.support.users import create_user_token, http_client

BENEFITS = "/api/public/coworkers/profiles/current/benefits"
SignIn = Callable[[int], Awaitable[httpx.AsyncClient]]


@pytest_asyncio.fixture
async def sign_in(api: ApiClient, app: ASGIApp, store: Store) -> AsyncIterator[SignIn]:
    """Signs in as a customer: a user without roles or locations whose record it is."""
    clients = []

    async def enter(customer: int) -> httpx.AsyncClient:
        email = f"member{customer}@example.com"
        token = await create_user_token(store, email, is_admin=False, lifetime_days=400)
        (user,) = await api.ledger.find(User, Email=email)
        async with store.write_session() as session:
            await session.update(Coworker, [(customer, {"UserId": user["Id"]})])
        client = http_client(app, token)
        clients.append(client)
        return client

    yield enter
    for client in clients:
        await client.aclose()


async def benefits(client: httpx.AsyncClient, shape: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = parse_body(await client.get(BENEFITS, params={"_shape": shape} if shape else {}))
    return answer


async def test_a_member_reads_its_own_benefits(api: ApiClient, sign_in: SignIn) -> None:
    other = await api.ledger.add_customer("Grace")
    await api.create_credit("99.00", CoworkerId=other)
    credit = await api.create_credit("40.00", Description="Rooms", ExpireDate=api.timestamp(days=9))
    await api.create_credit("5.00", ExpireDate=api.timestamp(minutes=1))
    time = await api.create_time_credit(120)
    booking = await api.create_booking(hours=3)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    api.clock.advance(hours=1)
    shown = await benefits(await sign_in(api.ledger.customer))
    assert shown["Team"] == {"BookingCredits": [], "ExtraServices": [], "TimePasses": []}
    assert shown["Personal"]["BookingCredits"] == [
        {
            "Id": credit,
            "Name": "Rooms",
            "TotalCredit": 40,
            "RemainingCredit": 20,
            "CaneBeUsedForBookings": True,
            "CaneBeUsedForEvents": False,
            "IsUniversalCredit": False,
            "IsFromTariff": False,
            "ExpireDate": shown["Personal"]["BookingCredits"][0]["ExpireDate"],
            "Business": {"Currency": {"Code": "GBP"}},
        }
    ]
    (uses,) = shown["Personal"]["ExtraServices"]
    assert (uses["Id"], uses["TotalUses"], uses["RemainingUses"]) == (time, 120, 0)
    assert (uses["ChargePeriod"], uses["ExtraService"]["IsPrintingCredit"]) == ("Minutes", False)
    assert shown["Personal"]["TimePasses"] == []


@pytest.mark.parametrize(
    ("shares", "money", "uses"),
    [
        ({"ShareBookingCredit": True}, 1, 0),
        ({"ShareExtraServices": True}, 0, 1),
        ({"TransferCreditsToPayingMember": True}, 1, 1),
        ({}, 0, 0),
    ],
)
async def test_rule_16_a_team_shows_what_it_shares(
    api: ApiClient, sign_in: SignIn, shares: dict[str, bool], money: int, uses: int
) -> None:
    ledger, member = api.ledger, api.ledger.customer
    payer = await ledger.add_customer("Grace")
    await ledger.add(
        Team, Name="Mill", BusinessId=ledger.business, PayingMemberId=payer, TeamMembers=(member, payer), **shares
    )
    await api.create_credit("40.00", CoworkerId=payer)
    await api.create_time_credit(60, CoworkerId=payer)
    shown = await benefits(await sign_in(member))
    assert shown["Personal"] == {"BookingCredits": [], "ExtraServices": [], "TimePasses": []}
    assert (len(shown["Team"]["BookingCredits"]), len(shown["Team"]["ExtraServices"])) == (money, uses)
    own = await benefits(await sign_in(payer))
    assert (len(own["Personal"]["BookingCredits"]), len(own["Team"]["BookingCredits"])) == (1, 0)


async def test_a_shape_narrows_the_answer(api: ApiClient, sign_in: SignIn) -> None:
    await api.create_credit("40.00")
    client = await sign_in(api.ledger.customer)
    paths = "Personal.BookingCredits.RemainingCredit,Personal.BookingCredits.Business.Currency.Code,Team.TimePasses,X.Y"
    assert await benefits(client, paths) == {
        "Personal": {"BookingCredits": [{"RemainingCredit": Decimal(40), "Business": {"Currency": {"Code": "GBP"}}}]},
        "Team": {"TimePasses": []},
    }
    assert list(await benefits(client, "Personal")) == ["Personal"]
    assert (await client.get(BENEFITS, params={"_shape": "a," * 4000})).status_code == 400


async def test_a_printing_benefit_says_so(api: ApiClient, sign_in: SignIn) -> None:
    printing = await api.ledger.add_rate(5, "0.01", resource_types=(), IsPrintingCredit=True)
    await api.create_time_credit(300, ExtraServiceId=printing, ChargePeriod=5)
    (shown,) = (await benefits(await sign_in(api.ledger.customer)))["Personal"]["ExtraServices"]
    name = (await api.ledger.get(ExtraService, printing))["Name"]
    assert shown["ExtraService"] == {"Id": printing, "Name": name, "IsPrintingCredit": True}
    assert (shown["ChargePeriod"], shown["RemainingUses"]) == ("Uses", 300)


async def test_a_user_who_is_no_customer_has_no_benefits(api: ApiClient, app: ASGIApp) -> None:
    assert (await api.http.get(BENEFITS)).status_code == 404
    async with http_client(app) as nobody:
        assert (await nobody.get(BENEFITS)).status_code == 401
