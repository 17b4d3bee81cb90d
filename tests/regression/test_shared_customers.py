"""A customer of two locations: what one of them neither sees nor changes of the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest_asyncio
from starlette.types import ASGIApp

from creditdesk.app import build_app
from creditdesk.auth.customers import CONTACT_MESSAGE, LINK_MESSAGE
from creditdesk.auth.users import FOREIGN_LOCATION_MESSAGE
from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.ledger.audit_record import AuditRecord
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.schema.repository import Store
from creditdesk.settings import LedgerSettings, MailSettings, Settings
from tests.console.conftest import browser
from tests.support.api_client import BOOKINGS, ApiClient, parse_body, result_value
from tests.support.users import create_full_user_role, create_user_token, http_client

CUSTOMERS = "/api/spaces/coworkers"
ALLOCATIONS = "/api/ledger/allocations"
LINKS = "/api/members/links"
USERS = "/api/sys/users"


@dataclass(frozen=True)
class SharedCustomer:
    """A customer of the ledger's location and of another one, with a team and a contract at each."""

    id: int
    home: int
    away: int
    home_team: int
    away_team: int


@pytest_asyncio.fixture
async def shared(api: ApiClient) -> SharedCustomer:
    ledger = api.ledger
    home, away = ledger.business, await ledger.add(Business, Name="Quay", CurrencyId=ledger.currency)
    customer = ledger.customer = await ledger.add(
        Coworker, FullName="Ada", Email="a@x.example", Businesses=(home, away)
    )
    teams = {}
    for place, main in ((home, False), (away, True)):
        team = {"Name": f"Team {place}", "BusinessId": place, "TeamMembers": (customer,)}
        teams[place] = await ledger.add(Team, **team)
        plan = await ledger.add(Tariff, Name=f"Plan {place}", BusinessId=place, CurrencyId=ledger.currency)
        await ledger.add(
            CoworkerContract, IssuedById=place, CoworkerId=customer, TariffId=plan, Active=True, MainContract=main
        )
    return SharedCustomer(customer, home, away, teams[home], teams[away])


@pytest_asyncio.fixture
async def manager(app: ASGIApp, store: Store, shared: SharedCustomer) -> AsyncIterator[httpx.AsyncClient]:
    """A user with every role at the ledger's location."""
    role = await create_full_user_role(store, shared.home)
    email = f"manager{shared.id}@example.com"
    token = await create_user_token(store, email, is_admin=False, business_ids=[shared.home], user_role_id=role)
    async with http_client(app, token) as client:
        yield client


def token_of(http: httpx.AsyncClient) -> str:
    return http.headers["Authorization"].removeprefix("Bearer ")


async def test_the_record_names_teams_and_plans_of_visible_locations(
    api: ApiClient, manager: httpx.AsyncClient, shared: SharedCustomer
) -> None:
    whole = await api.get(f"{CUSTOMERS}/{shared.id}")
    assert whole["TeamIds"] == [shared.home_team, shared.away_team]
    assert (whole["TariffName"], len(whole["CoworkerContractIds"])) == (f"Plan {shared.away}", 2)
    [listed] = parse_body(await manager.get(CUSTOMERS, params={"Coworker_Id": f"[{shared.id}]"}))["Records"]
    for shown in (listed, parse_body(await manager.get(f"{CUSTOMERS}/{shared.id}"))):
        assert (shown["TeamIds"], shown["TeamName"]) == ([shared.home_team], f"Team {shared.home}")
        assert (shown["TariffName"], len(shown["CoworkerContractIds"])) == (f"Plan {shared.home}", 1)


async def test_a_change_takes_the_customer_from_no_other_location_or_team(
    api: ApiClient, manager: httpx.AsyncClient, shared: SharedCustomer
) -> None:
    path = f"{CUSTOMERS}/{shared.id}"
    for name, kept, hidden in (
        ("Businesses", shared.home, shared.away),
        ("Teams", shared.home_team, shared.away_team),
    ):
        for change in ({name: [kept]}, {f"Removed{name}": [hidden]}):
            refused = await manager.put(path, json={**await api.get(path), **change})
            assert refused.status_code == 400, change
            [error] = refused.json()["Errors"]
            assert (error["PropertyName"], error["Message"]) == (name, "is not found")
    whole = await api.get(path)
    result_value(await manager.put(path, json={**whole, "Teams": [shared.away_team], "NickName": "A"}))
    changed = await api.get(path)
    assert (changed["NickName"], changed["TeamIds"]) == ("A", [shared.away_team])
    assert changed["Businesses"] == [shared.home, shared.away]


async def test_a_decision_hides_what_credit_of_another_location_holds(
    api: ApiClient, manager: httpx.AsyncClient, shared: SharedCustomer
) -> None:
    own = await api.create_credit("15.00")
    foreign = await api.create_credit("77.00", BusinessId=shared.away, IsUniversalCredit=True)
    at_home = await api.create_booking(hours=1)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [at_home]))

    def available(document: dict[str, list[dict[str, object]]]) -> dict[object, object]:
        return {seen["credit"]: seen["available"] for seen in document["considered"]}

    [listed] = parse_body(await manager.get(ALLOCATIONS, params={"AllocationDocument_SourceId": at_home}))["Records"]
    number = listed["Id"]
    whole = (await api.get(f"{ALLOCATIONS}/{number}"))["Document"]
    assert available(whole) == {f"money/{own}": "15.0000", f"money/{foreign}": "77.0000"}
    [line] = [each for each in await api.list_journal_lines(own) if each["AllocationId"] == number]
    decision = parse_body(await manager.get(f"/api/ledger/entries/{line['Id']}/decision"))["Value"]
    for shown in (
        listed["Document"],
        parse_body(await manager.get(f"{ALLOCATIONS}/{number}"))["Document"],
        parse_body(await manager.get(ALLOCATIONS, params={"id": f"[{number}]"}))[0]["Document"],
        decision["Allocation"],
    ):
        assert available(shown) == {f"money/{own}": "15.0000", f"money/{foreign}": None}
        assert shown["parts"] == whole["parts"]


async def test_a_decision_of_another_location_is_not_shown_with_an_entry(
    api: ApiClient, app: ASGIApp, manager: httpx.AsyncClient, shared: SharedCustomer
) -> None:
    room = await api.ledger.add(Resource, Name="Pier", BusinessId=shared.away, ResourceTypeId=api.ledger.resource_type)
    own = await api.create_credit("40.00", IsUniversalCredit=True)
    booking = await api.create_booking(ResourceId=room, OverridePrice=20)
    crossing = build_app(api.ledger.store, Settings(ledger=LedgerSettings(cross_location=True)), api.clock)
    async with http_client(crossing, token_of(api.http)) as http:
        charge = {"Key": "CHARGE_BOOKING", "Ids": [booking]}
        result_value(await http.post(f"{BOOKINGS}/runcommand", json=charge))
    line = (await api.list_journal_lines(own))[-1]
    assert line["AllocationId"] is not None
    shown = parse_body(await manager.get(f"/api/ledger/entries/{line['Id']}/decision"))
    assert (shown["Message"], shown["Value"]["Allocation"]) == ("decided at another location", None)
    async with browser(app, token_of(manager)) as console:
        page = await console.get(f"/console/why/{line['Id']}")
    assert page.status_code == 200
    assert "It was decided at a location that you may not see." in page.text


async def test_an_address_of_a_hidden_user_or_customer_cannot_be_given_and_tells_nothing(
    api: ApiClient, manager: httpx.AsyncClient, store: Store, shared: SharedCustomer
) -> None:
    tag = shared.id
    hidden, seen, guest = f"hidden{tag}@x.example", f"seen{tag}@x.example", f"guest{tag}@x.example"
    await create_user_token(store, hidden, is_admin=False, business_ids=[shared.away])
    await create_user_token(store, seen, is_admin=False, business_ids=[shared.home])
    await api.ledger.add(Coworker, FullName="Guest", Email=guest, Businesses=(shared.away,), Active=True)
    own = await api.ledger.add(Coworker, FullName="Own", Email=hidden, Businesses=(shared.home,), Active=True)

    async def create(http: httpx.AsyncClient, email: str) -> httpx.Response:
        body = {"FullName": "New", "Email": email, "Language": 1, "Active": True, "Businesses": [shared.home]}
        return await http.post(USERS, json=body)

    mine = result_value(await create(manager, f"mine{tag}@x.example"))
    refused = [await create(manager, each) for each in (hidden, f" HIDDEN{tag}@X.example", guest)]
    refused.append(await manager.put(f"{USERS}/{mine['Id']}", json={**mine, "Email": hidden}))
    refused.append(await manager.post("/api/members/links", json={"CoworkerId": own}))
    assert {(each.status_code, each.text) for each in refused} == {(403, refused[0].text)}
    assert (
        refused[0].json()["Message"]
        == "You cannot give this e-mail address to a user: ask an administrator of all locations"
    )
    known = await create(manager, seen)
    assert (known.status_code, known.json()["Errors"][0]["Message"]) == (400, "is already used by another user")
    for email in (hidden, guest):
        assert len(await api.list_records(USERS, User_Email=email)) == (email == hidden)
    trail = await api.ledger.find(AuditRecord, Action="refused", Actor=f"manager{shared.id}@example.com")
    assert {json.loads(each["Details"])["Path"] for each in trail} >= {USERS, "/api/members/links"}
    # Who sees all locations is answered as before, and gives a customer's address to whom it likes.
    assert (await create(api.http, hidden)).status_code == 400
    result_value(await create(api.http, guest))


async def test_only_who_sees_all_locations_of_a_customer_may_let_somebody_in(
    api: ApiClient, app: ASGIApp, manager: httpx.AsyncClient, store: Store, shared: SharedCustomer
) -> None:
    path = f"{CUSTOMERS}/{shared.id}"
    whole = await api.get(path)
    result_value(await api.http.put(path, json={**whole, "Active": True}))
    single = await api.ledger.add(
        Coworker, FullName="Eve", Email=f"eve{shared.id}@x.example", Businesses=(shared.home,), Active=True
    )
    for purpose in ("sign-in", "frame"):
        refused = await manager.post(LINKS, json={"CoworkerId": shared.id, "Purpose": purpose})
        assert (refused.status_code, refused.json()["Message"]) == (403, LINK_MESSAGE)
        result_value(await manager.post(LINKS, json={"CoworkerId": single, "Purpose": purpose}))
    result_value(await api.post(LINKS, {"CoworkerId": shared.id}))
    async with browser(app, token_of(manager)) as console:
        page = await console.post(f"/console/customers/{shared.id}/link", data={"purpose": "sign-in", "minutes": "60"})
    assert page.status_code == 403
    assert LINK_MESSAGE in page.text
    # The link goes to the customer's own address, which only the same users change, as they do its user.
    mailing = build_app(store, Settings(mail=MailSettings(host="mail.example")), api.clock)
    async with http_client(mailing, token_of(manager)) as http:
        assert result_value(await http.post(f"{LINKS}/send", json={"CoworkerId": shared.id}))["Email"] == whole["Email"]
    # Credit at another location is enough, whatever locations the record names.
    await api.create_credit("9.00", CoworkerId=single, BusinessId=shared.away)
    assert (await manager.post(LINKS, json={"CoworkerId": single})).status_code == 403
    own_user = result_value(
        await manager.post(USERS, json={"FullName": "Own", "Email": f"own{shared.id}@x.example", "Language": 1,
                                        "Active": True, "Businesses": [shared.home]})
    )  # fmt: skip
    for customer in (shared.id, single):
        stored = await api.get(f"{CUSTOMERS}/{customer}")
        for change in ({"Email": f"own{shared.id}@x.example"}, {"UserId": own_user["Id"]}):
            refused = await manager.put(f"{CUSTOMERS}/{customer}", json={**stored, **change})
            assert (refused.status_code, refused.json()["Message"]) == (403, CONTACT_MESSAGE), change
        upper = {**stored, "Email": stored["Email"].upper(), "NickName": "A"}
        result_value(await manager.put(f"{CUSTOMERS}/{customer}", json=upper))
    # Nor do they set the password of the user who is the member.
    member = await api.ledger.get(Coworker, single)
    user = f"{USERS}/{member['UserId']}"
    for answer in (
        await manager.put(user, json={**await api.get(user), "NewPassword": "a new password of theirs"}),
        await manager.delete(user),
        await manager.post("/api/auth/second-factor/remove", json={"UserId": member["UserId"], "Reason": "lost"}),
    ):
        assert (answer.status_code, answer.json()["Message"]) == (403, FOREIGN_LOCATION_MESSAGE)
    result_value(await api.http.put(user, json={**await api.get(user), "NewPassword": "a new password of hers"}))
