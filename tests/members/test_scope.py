"""A member sees its own records alone: every entity, path and report; and writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest

from creditdesk.auth.members import MEMBER_ROLES
from creditdesk.auth.scope import scope_filters
from creditdesk.entities.catalog import CATALOG, PUBLIC_ENTITIES
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.coworker import Coworker
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.business import Business
from creditdesk.reports.catalog import REPORTS
from creditdesk.schema.entity import EVERY_MEMBER, Entity, entity_by_name
from creditdesk.schema.fields import OPERATOR, Reference
from creditdesk.schema.query import Comparison
from creditdesk.schema.service import Principal
from tests.members.conftest import SignInMember
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    TIME_CREDITS,
    USES,
    ApiClient,
    booking_item,
    parse_body,
    result_value,
)

MEMBER = Principal(1, "ada@example.com", roles=MEMBER_ROLES, customers=frozenset({7}))
PROFILES: Final = "/api/ledger/locationprofiles"
OWNERLESS: Final = {
    "AuditRecord", "CalendarEvent", "CalendarEventCategory", "DailyTotal", "EventProduct", "ExceptionAcknowledgement",
    "ExtraService", "PeriodClosing", "PeriodLock", "PoolCap", "Product", "ProductBookingCredit",
    "ProductExtraService", "Resource", "ResourceType", "SavedReport", "Tariff", "TariffBookingCredit",
    "TariffExtraService", "Team", "TimePass", "User", "UserRole",
}  # fmt: skip
"""Entities of locations that hold no record of a customer: a member sees none of their records."""
READABLE: Final = {
    "AllocationDocument", "CoworkerBookingCredit", "CoworkerBookingCreditUseHistory", "CoworkerExtraService",
    "CoworkerExtraServiceUseHistory", "Hold", "JournalLine", "LocationProfile", "PoolCap",
}  # fmt: skip
"""What a member has the role to list."""


@pytest.mark.parametrize("entity", [e for e in CATALOG if e.scope], ids=lambda e: e.__name__)
def test_every_entity_of_a_location_says_which_of_its_records_a_member_sees(entity: type[Entity]) -> None:
    if entity.owner == EVERY_MEMBER:
        assert entity.__name__ in ("Business", "LocationProfile")
        [limit] = scope_filters(MEMBER, entity)
        assert (limit.column.name, limit.comparison, limit.value) == (entity.scope, Comparison.LOCATION_OF, (7,))
        return
    assert (entity.owner is None) == (entity.__name__ in OWNERLESS)
    [limit] = scope_filters(MEMBER, entity)
    if entity.owner is None:
        assert (limit.column.name, limit.value) == ("Id", ())
        return
    leads_to = limit.column.entity
    for step in limit.column.path:
        field = leads_to.fields[step]
        assert isinstance(field, Reference)
        leads_to = entity_by_name(field.to)
    field = leads_to.fields[limit.column.leaf]
    assert leads_to.__name__ == "Coworker" or (isinstance(field, Reference) and field.to == "Coworker")
    assert limit.value == 7


def test_entities_that_locations_share_hold_nothing_of_customers() -> None:
    public = {entity.__name__ for entity in PUBLIC_ENTITIES if not entity.scope}
    assert public == {"Currency", "Role", "SimpleTimeZone"}


def test_customers_count_before_locations() -> None:
    assert MEMBER.sees_record(1, 7)
    assert not MEMBER.sees_record(1, 8)
    assert not MEMBER.sees_location(1)
    assert MEMBER.sees_customer(7, ())
    assert not MEMBER.sees_customer(8, (1,))


async def use_credit(api: ApiClient) -> dict[str, int]:
    """Credit of the client's customer, and a booking that it paid for."""
    money = await api.create_credit("90.00", Description="Rooms")
    time = await api.create_time_credit(90)
    booking = await api.create_booking(hours=2)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    assert await api.create_hold(booking_item(await api.create_booking(hours=2)))
    return {"money": money, "time": time, "booking": booking}


async def test_lists_show_own_records_and_no_others(api: ApiClient, sign_in_member: SignInMember) -> None:
    own = api.ledger.customer
    mine = await use_credit(api)
    api.ledger.customer = await api.ledger.add_customer("Grace")
    others = await use_credit(api)
    api.ledger.customer = own
    member = await sign_in_member(own)
    for entity in PUBLIC_ENTITIES:
        answer = await member.get(entity.path())
        if entity.__name__ not in READABLE:
            assert answer.status_code == 403, entity
            assert (await member.get(f"{entity.path()}/1")).status_code == 403, entity
            continue
        records = parse_body(answer)["Records"]
        if entity.owner not in (None, EVERY_MEMBER):
            assert records, entity
            assert {record[str(entity.owner)] for record in records} == {own}, entity
            assert parse_body(answer)["TotalItems"] == len(records), entity
    for path, kind in ((CREDITS, "money"), (TIME_CREDITS, "time")):
        assert (await member.get(f"{path}/{mine[kind]}")).status_code == 200
        assert (await member.get(f"{path}/{others[kind]}")).status_code == 404
        assert parse_body(await member.get(path, params={"id": f"[{others[kind]}]"})) == []


async def test_locations_are_those_where_the_member_has_a_record(api: ApiClient, sign_in_member: SignInMember) -> None:
    ledger = api.ledger
    names = ("Isle", "Pier", "Quay")
    places = {name: await ledger.add(Business, Name=name, CurrencyId=ledger.currency) for name in names}
    own = await ledger.add(Coworker, FullName="Own", Businesses=(places["Isle"],))
    profiles = {}
    for name, place in places.items():
        body = {"BusinessId": place, "TimeZone": "Europe/London"}
        profiles[name] = result_value(await api.post(PROFILES, body))["Id"]
    ledger.customer = await ledger.add_customer("Grace")
    await api.create_credit("9.00", BusinessId=places["Quay"])
    member = await sign_in_member(own)

    async def seen() -> list[str]:
        listed = parse_body(await member.get(PROFILES, params={"orderby": "Id"}))
        assert listed["TotalItems"] == len(listed["Records"])
        shown = [each["BusinessName"] for each in listed["Records"]]
        hidden = profiles.keys() - set(shown)
        for name, profile in profiles.items():
            status = 404 if name in hidden else 200
            assert (await member.get(f"{PROFILES}/{profile}")).status_code == status, name
        for name, place in places.items():
            report = await member.get("/api/reports/statement", params={"LocationIds": place})
            assert report.status_code == (400 if name in hidden else 200), name
        unknown = await member.get("/api/reports/statement", params={"LocationIds": 987_654})
        assert unknown.json()["Errors"][0]["Message"] == "is not found"
        assert (
            parse_body(await member.get(PROFILES, params={"LocationProfile_Business_Name": "Quay"}))["TotalItems"] == 0
        )
        return shown

    assert await seen() == ["Isle"]
    # Credit at another location makes that one known at once.
    await api.create_credit("9.00", BusinessId=places["Pier"], CoworkerId=own)
    assert await seen() == ["Isle", "Pier"]


async def test_paths_of_the_ledger_show_own_records_alone(api: ApiClient, sign_in_member: SignInMember) -> None:
    own = api.ledger.customer
    mine = await use_credit(api)
    other = api.ledger.customer = await api.ledger.add_customer("Grace")
    others = await use_credit(api)
    api.ledger.customer = own
    member = await sign_in_member(own)
    lines = {
        kind: (await api.list_journal_lines(by["money"]))[-1]["Id"] for kind, by in (("own", mine), ("other", others))
    }
    balances = parse_body(await member.get("/api/ledger/balances", params={"CoworkerId": own}))["Value"]
    assert {(each["Kind"], each["Id"]) for each in balances} == {("money", mine["money"]), ("time", mine["time"])}
    assert (await member.get("/api/ledger/balances", params={"CoworkerId": other})).status_code == 400
    for line, status in ((lines["own"], 200), (lines["other"], 404)):
        assert (await member.get(f"/api/ledger/entries/{line}")).status_code == status
        assert (await member.get(f"/api/ledger/entries/{line}/decision")).status_code == status
    assert (await member.get(f"/api/ledger/proofs/{lines['other']}")).status_code == 404
    assert parse_body(await member.get("/api/ledger/renewals"))["Records"] == []


async def test_member_reads_its_statement_and_no_other_report(api: ApiClient, sign_in_member: SignInMember) -> None:
    own = api.ledger.customer
    mine = await use_credit(api)
    other = api.ledger.customer = await api.ledger.add_customer("Grace")
    others = await use_credit(api)
    api.ledger.customer = own
    team = await api.ledger.add(Team, Name="Mill", BusinessId=api.ledger.business, PayingMemberId=other)
    member = await sign_in_member(own)
    for name in REPORTS:
        answer = await member.get(f"/api/reports/{name}")
        assert answer.status_code == (200 if name == "statement" else 403), name
    statement = parse_body(await member.get("/api/reports/statement"))
    credits_ = {(row["Kind"], row["CreditId"]) for row in statement["Rows"]}
    assert credits_ == {("money", mine["money"]), ("time", mine["time"])}
    queries: tuple[dict[str, int | str], ...] = (
        {"CoworkerId": other}, {"TeamId": team}, {"Kind": "money", "CreditId": others["money"]},
        {"CoworkerId": other, "format": "csv"},
    )  # fmt: skip
    for query in queries:
        assert (await member.get("/api/reports/statement", params=query)).status_code == 400, query
    for file_format in ("csv", "pdf", "xlsx"):
        assert (await member.get("/api/reports/statement", params={"format": file_format})).status_code == 200


async def test_member_does_not_see_who_of_the_operator_wrote(api: ApiClient, sign_in_member: SignInMember) -> None:
    staff = "admin@example.com"
    hidden = {"UpdatedBy": None, "CustomFields": None, "Notes": None, "Actor": OPERATOR}
    mine = await use_credit(api)
    time = await api.create_time_credit(
        30, Notes="Asks a lot", CustomFields={"Data": [{"Name": "Rating", "Value": "poor", "Type": "String"}]}
    )
    await api.post(PROFILES, {"BusinessId": api.ledger.business, "TimeZone": "UTC"})
    member = await sign_in_member(api.ledger.customer)
    for name in sorted(READABLE):
        entity = entity_by_name(name)
        prefix, path = entity.__name__, entity.path()
        columns = hidden.keys() & entity.meta().columns.keys()
        by_operator = await api.list_records(path, **{f"{prefix}_UpdatedBy": staff})
        assert bool(by_operator) == (name != "PoolCap"), name
        listed = parse_body(await member.get(path, params={"orderby": "UpdatedBy", "dir": "-1"}))["Records"]
        ids = [each["Id"] for each in listed]
        assert ids == sorted(ids, reverse=True), name
        single = [parse_body(await member.get(f"{path}/{each}")) for each in ids[:1]]
        batch = parse_body(await member.get(path, params={"id": str(ids[:2])})) if ids else []
        for record in (*listed, *single, *batch):
            assert {column: record[column] for column in columns} == {column: hidden[column] for column in columns}
        for column in columns - {"CustomFields"}:
            for value in (staff, "notnull", OPERATOR):
                found = parse_body(await member.get(path, params={f"{prefix}_{column}": value}))
                assert (found["Records"], found["TotalItems"]) == ([], 0), (name, column)
    custom = {"CoworkerExtraService_CustomFields_Rating": "poor", "CoworkerExtraService_Coworker": "notnull"}
    assert [each["Id"] for each in await api.list_records(TIME_CREDITS, **custom)] == [time]
    assert parse_body(await member.get(TIME_CREDITS, params=custom))["TotalItems"] == 0
    line = (await api.list_journal_lines(mine["money"]))[-1]
    assert line["Actor"] == staff
    paths = [
        f"/api/ledger/entries/{line['Id']}/decision", f"/api/ledger/balances?CoworkerId={api.ledger.customer}",
        "/api/members/current/history", "/api/public/coworkers/profiles/current/benefits", "/api/auth/sessions",
        "/api/reports/statement", "/api/reports/statement?format=csv",
    ]  # fmt: skip
    for path in paths:
        answer = await member.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert staff not in answer.text, path
    assert {row["Actor"] for row in parse_body(await member.get("/api/reports/statement"))["Rows"]} == {OPERATOR}


async def test_member_writes_nothing(api: ApiClient, sign_in_member: SignInMember) -> None:
    own = await use_credit(api)
    member = await sign_in_member(api.ledger.customer)
    before = await api.list_journal_lines(own["money"])
    refused: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", CREDITS, api.credit_body("9.00")),
        ("PUT", f"{CREDITS}/{own['money']}", api.credit_body("90.00")),
        ("DELETE", f"{CREDITS}/{own['money']}", {}),
        ("POST", USES, {"CoworkerBookingCreditId": own["money"], "CreditUsed": 1}),
        ("POST", f"{CREDITS}/runcommand", {"Key": "VOID_CREDIT", "Ids": [own["money"]]}),
        ("POST", f"{BOOKINGS}/runcommand", {"Key": "CANCEL_BOOKINGS", "Ids": [own["booking"]]}),
        ("POST", "/api/members/links", {"CoworkerId": api.ledger.customer}),
    ]
    refused += [
        (
            "POST",
            f"/api/ledger/{name}",
            {"Kind": "money", "Id": own["money"], "Amount": 1, "Reason": "more", "Ids": [1]},
        )
        for name in ("spends", "holds", "reversals", "adjustments", "adoptions", "renewals")
    ]
    for method, path, body in refused:
        answer = await member.request(method, path, json=body)
        assert answer.status_code == 403, (path, answer.text)
    assert await api.list_journal_lines(own["money"]) == before


async def test_own_history_names_sources_and_hides_those_of_others(
    api: ApiClient, sign_in_member: SignInMember
) -> None:
    own = await use_credit(api)
    member = await sign_in_member(api.ledger.customer)
    shown = parse_body(await member.get("/api/members/current/history"))
    assert shown["TotalItems"] == len(shown["Records"])
    assert {each["Kind"] for each in shown["Records"]} == {"grant", "use", "hold"}
    use = next(each for each in shown["Records"] if each["Kind"] == "use")
    assert (use["Kind"], use["SourceName"], use["SourceId"]) == ("use", "Blue", own["booking"])
    one = parse_body(await member.get("/api/members/current/history", params={"Id": use["Id"]}))
    assert one["Records"] == [use]
    assert (await member.get("/api/members/current/history", params={"page": 999})).status_code == 400
    assert (await member.get("/api/members/current/history", params={"CoworkerId": 9999})).status_code == 400
    assert (await api.http.get("/api/members/current/history")).status_code == 403


async def test_member_of_a_team_sees_its_pool_its_draws_and_its_cap(
    api: ApiClient, sign_in_member: SignInMember
) -> None:
    own = api.ledger.customer
    payer = await api.ledger.add_customer("Payer")
    mate = await api.ledger.add_customer("Mate")
    team = await api.ledger.add(
        Team, Name="Mill", BusinessId=api.ledger.business, PayingMemberId=payer, ShareBookingCredit=True,
        TeamMembers=(own, payer, mate),
    )  # fmt: skip
    await api.create_credit("100.00", CoworkerId=payer)
    await api.create_time_credit(60, CoworkerId=payer)
    cap = {"TeamId": team, "CreditKind": 1, "Period": 3, "Amount": 60}
    result_value(await api.post("/api/ledger/poolcaps", cap))
    for customer in (own, mate):
        api.ledger.customer = customer
        booking = await api.create_booking(hours=1)
        result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    api.ledger.customer = own
    member = await sign_in_member(own)
    [customer_] = parse_body(await member.get("/api/members/current"))["Customers"]
    [location] = customer_["Locations"]
    assert (location["Name"], location["CurrencyCode"], location["TimeZone"]) == ("Mill", "GBP", "UTC")
    [pool] = customer_["Pools"]
    assert (pool["TeamName"], pool["Kind"], pool["Unit"], pool["Available"]) == ("Mill", "money", "GBP", "60.0000")
    assert pool["Drawable"] == "40.0000"
    assert pool["Caps"] == [{"Period": "month", "Amount": "60.0000", "Drawn": "20.0000", "Left": "40.0000"}]
    [draw] = parse_body(await member.get("/api/members/current/history"))["Records"]
    assert (draw["Kind"], draw["Amount"], draw["OfTeam"], draw["BalanceAfter"]) == ("use", "20.0000", True, None)
    assert draw["SourceName"] == "Blue"
    allocation = f"/api/ledger/allocations/{draw['AllocationId']}"
    considered = parse_body(await member.get(allocation))["Document"]["considered"]
    assert {(each["reason"], each["available"]) for each in considered} == {("used", None), ("not_shared", None)}
    paying = await sign_in_member(payer)
    uses = [
        each
        for each in parse_body(await paying.get("/api/members/current/history"))["Records"]
        if each["Kind"] == "use"
    ]
    assert [(each["ByTeamMember"], each["SourceName"]) for each in uses] == [(True, None), (True, None)]
    assert (await paying.get(allocation)).status_code == 404
    decision = parse_body(await paying.get(f"/api/ledger/entries/{draw['Id']}/decision"))
    assert decision["Value"]["Allocation"] is None
    assert "another member" in decision["Message"]


async def test_uses_of_own_credit_hide_what_they_paid_for_others(api: ApiClient, sign_in_member: SignInMember) -> None:
    ledger = api.ledger
    payer, mate = await ledger.add_customer("Payer"), await ledger.add_customer("Mate")
    await ledger.add(
        Team, Name="Mill", BusinessId=ledger.business, PayingMemberId=payer, ShareBookingCredit=True,
        TeamMembers=(payer, mate),
    )  # fmt: skip
    await api.create_credit("100.00", CoworkerId=payer)
    bookings = {}
    for customer in (mate, payer):
        ledger.customer = customer
        bookings[customer] = await api.create_booking(hours=1)
        result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [bookings[customer]]))
    member = await sign_in_member(payer)
    foreign, own = parse_body(await member.get(USES, params={"orderby": "Id"}))["Records"]
    hidden = ("BookingFromTime", "BookingToTime", "BookingResourceName")
    assert (foreign["BookingId"], own["BookingId"]) == (bookings[mate], bookings[payer])
    assert foreign["CoworkerBookingCreditCoworkerId"] == payer
    assert [foreign[name] for name in hidden] == [None, None, None]
    assert own["BookingResourceName"] == "Blue"
    for shown in (
        parse_body(await member.get(f"{USES}/{foreign['Id']}")),
        *parse_body(await member.get(USES, params={"id": f"[{foreign['Id']}]"})),
    ):
        assert [shown[name] for name in hidden] == [None, None, None]
    # Neither filters nor the order tell what is hidden.
    for query in ({"Booking_Resource_Name": "Blue"}, {"BookingFromTime": "notnull"}):
        named = {f"CoworkerBookingCreditUseHistory_{name}": value for name, value in query.items()}
        found = parse_body(await member.get(USES, params=named))
        assert ([each["Id"] for each in found["Records"]], found["TotalItems"]) == ([own["Id"]], 1), query
    async with ledger.store.write_session() as session:
        await session.update(Booking, [(bookings[mate], {"FromTime": datetime(2031, 1, 1, tzinfo=UTC)})])
    ordered = parse_body(await member.get(USES, params={"orderby": "BookingFromTime"}))["Records"]
    assert [each["Id"] for each in ordered] == [foreign["Id"], own["Id"]]
    by_operator = parse_body(await api.http.get(USES, params={"orderby": "BookingFromTime", "dir": "-1"}))["Records"]
    assert by_operator[0]["Id"] == foreign["Id"]


async def test_member_without_a_customer_any_more_is_refused(api: ApiClient, sign_in_member: SignInMember) -> None:
    member: httpx.AsyncClient = await sign_in_member(api.ledger.customer)
    assert (await member.get("/api/members/current")).status_code == 200
    record = await api.get(f"/api/spaces/coworkers/{api.ledger.customer}")
    async with api.ledger.store.write_session() as session:
        await session.update(entity_by_name("Coworker"), [(record["Id"], {"Active": False})])
    assert (await member.get("/api/members/current")).status_code == 401
