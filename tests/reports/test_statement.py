"""The statement: every movement of a customer's credit with its balance."""

from __future__ import annotations

import json

from creditdesk.entities.spaces.coworker import Coworker
from tests.reports.report_client import ReportClient, amounts, section
from tests.support.shared_team import SharedTeam


async def test_lists_every_movement_with_its_balance(reports: ReportClient) -> None:
    reports.set_time("2026-01-10T12:00:00Z")
    credit = await reports.grant(40, ExpireDate="2026-03-01T05:00:00Z", Description="Rooms")
    reports.set_time("2026-01-12T12:00:00Z")
    use = await reports.use(credit, 12.5)
    reports.set_time("2026-01-13T12:00:00Z")
    await reports.post("/api/ledger/reversals", Kind="money", Ids=[use], Amount=2.5, Reason="Left early")
    await reports.post("/api/ledger/adjustments", Kind="money", Id=credit, Amount=-5, Reason="Agreed")
    reports.set_time("2026-04-01T12:00:00Z")

    report = await reports.get("statement")

    assert amounts(report["Rows"], "LocalDate", "What", "Description", "Amount", "Balance") == [
        ("2026-01-10", "Granted", "granted", "40.00", "40.00"),
        ("2026-01-12", "Used", "Rooms", "-12.50", "27.50"),
        ("2026-01-13", "Given back", "Left early", "2.50", "30.00"),
        ("2026-01-13", "Adjusted", "Agreed", "-5.00", "25.00"),
        ("2026-03-01", "Expired", "the rest expired", "-25.00", "0.00"),
    ]
    assert section(report, "Summary") == [
        {
            "Kind": "money", "Unit": "GBP", "Opening": "0.00", "Granted": "40.00", "RolledIn": "0.00",
            "Reversed": "2.50", "Adjusted": "-5.00", "Used": "-12.50", "RolledOut": "0.00", "Voided": "0.00",
            "Expired": "-25.00", "Reopened": "0.00", "Closing": "0.00",
        }
    ]  # fmt: skip
    assert report["Footer"]["Variance"] == {"money GBP": "0.00"}
    assert report["Footer"]["Entries"] == 4


async def test_dates_are_inclusive_on_the_clock_of_the_location(reports: ReportClient) -> None:
    reports.set_time("2026-01-31T04:59:59Z")
    credit = await reports.grant(40)  # 30 January, 23:59:59 in New York
    reports.set_time("2026-02-01T04:59:59Z")
    await reports.use(credit, 1)  # the last second of January
    reports.set_time("2026-02-01T05:00:00Z")
    await reports.use(credit, 2)  # the first one of February

    january = await reports.get("statement", From="2026-01-31", To="2026-01-31")
    february = await reports.get("statement", From="2026-02-01", To="2026-02-28")

    assert amounts(january["Rows"], "Amount", "Balance") == [("-1.00", "39.00")]
    assert amounts(february["Rows"], "Amount", "Balance") == [("-2.00", "37.00")]
    assert section(january, "Summary")[0]["Closing"] == section(february, "Summary")[0]["Opening"] == "39.00"
    assert january["Footer"]["Locations"][0]["FromUtc"] == "2026-01-31T05:00:00Z"
    assert january["Footer"]["Locations"][0]["ToUtc"] == "2026-02-01T05:00:00Z"


async def test_a_use_after_the_expiry_takes_from_what_expired(reports: ReportClient) -> None:
    credit = await reports.grant(40, ExpireDate="2026-02-01T00:00:00Z")
    reports.set_time("2026-02-05T12:00:00Z")
    use = await reports.use(credit, 10)
    await reports.post("/api/ledger/reversals", Kind="money", Ids=[use])

    report = await reports.get("statement")

    assert amounts(report["Rows"], "What", "Amount", "Balance") == [
        ("Granted", "40.00", "40.00"),
        ("Expired", "-40.00", "0.00"),
        ("Used", "-10.00", "-10.00"),
        ("Expired", "10.00", "0.00"),
        ("Given back", "10.00", "10.00"),
        ("Expired", "-10.00", "0.00"),
    ]


async def test_an_earlier_effect_counts_where_it_belongs_once_it_was_known(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    reports.set_time("2026-03-05T12:00:00Z")
    await reports.post(
        "/api/ledger/adjustments",
        Kind="money", Id=credit, Amount=-4, Reason="Forgotten in January", EffectiveOn="2026-01-20T12:00:00Z",
    )  # fmt: skip

    recorded = await reports.get("statement", From="2026-01-01", To="2026-01-31")
    known_then = await reports.get("statement", From="2026-01-01", To="2026-01-31", AsKnownAt="2026-02-01T00:00:00Z")
    known_now = await reports.get("statement", From="2026-01-01", To="2026-01-31", AsKnownAt="2026-03-06T00:00:00Z")

    closing = [section(each, "Summary")[0]["Closing"] for each in (recorded, known_then, known_now)]
    assert closing == ["40.00", "40.00", "36.00"]


async def test_the_same_request_gives_the_same_bytes(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    reports.set_time("2026-02-02T12:00:00Z")
    await reports.use(credit, 10)
    question = {"From": "2026-01-01", "To": "2026-01-31"}
    first = await reports.request("statement", **question)
    reports.set_time("2026-02-03T12:00:00Z")
    await reports.use(credit, 10)
    assert (await reports.request("statement", **question)).content == first.content


async def test_a_past_instant_is_judged_with_the_window_that_stood_then(reports: ReportClient) -> None:
    credit = await reports.grant(40, ExpireDate="2026-02-01T12:00:00Z")
    reports.set_time("2026-02-10T12:00:00Z")
    before = await reports.request("liability", At="2026-02-05")
    record = (await reports.http.get(f"/api/billing/coworkerbookingcredits/{credit}")).json()
    changed = await reports.http.put(
        f"/api/billing/coworkerbookingcredits/{credit}", json={**record, "ExpireDate": "2026-03-01T12:00:00Z"}
    )
    assert changed.status_code == 200, changed.text
    reports.set_time("2026-04-01T12:00:00Z")

    assert (await reports.request("liability", At="2026-02-05")).content == before.content
    assert amounts((await reports.get("liability", At="2026-02-15"))["Rows"], "Outstanding") == [("40.00",)]
    report = await reports.get("statement")
    assert amounts(report["Rows"], "LocalDate", "What", "Amount", "Balance") == [
        ("2026-01-01", "Granted", "40.00", "40.00"),
        ("2026-02-01", "Expired", "-40.00", "0.00"),
        ("2026-02-10", "Reopened", "40.00", "40.00"),
        ("2026-03-01", "Expired", "-40.00", "0.00"),
    ]
    assert report["Footer"]["TiesOut"]


async def test_the_funding_of_a_grant_is_that_of_the_ledger(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    body = {
        "Key": "SET_FUNDING",
        "Ids": [credit],
        "Parameters": [
            {"Name": name, "Type": "string", "Value": value}
            for name, value in (("Funding", "paid"), ("PricePaid", "30"), ("SourceDocument", "I-7"), ("Reason", "sold"))
        ],
    }
    done = await reports.http.post("/api/billing/coworkerbookingcredits/runcommand", json=body)
    assert done.status_code == 200, done.text
    rows = (await reports.get("liability"))["Rows"]
    assert amounts(rows, "Funding", "PricePaid", "Value") == [("paid", "30.00", "40.00")]


async def test_a_teams_statement_says_what_each_member_drew_and_may_still_draw(reports: ReportClient) -> None:
    ledger = reports.ledger
    member = ledger.customer
    team = await SharedTeam.create(ledger)
    await team.cap("10.00")
    credit = await team.pool()
    await reports.use(credit, 3.5, BookingId=await ledger.add_booking())
    report = await reports.get("statement", TeamId=team.team)
    name = (await ledger.get(Coworker, member))["FullName"]
    assert amounts(section(report, "Drawn by member"), "MemberId", "Member", "Drawn") == [(member, name, "3.50")]
    columns = ("MemberId", "Member", "Kind", "Unit", "Period", "Since", "Cap", "Drawn", "Left")
    assert amounts(section(report, "Caps of members"), *columns) == [
        (member, name, "money", "GBP", "month", "2026-01-01", "10.00", "3.50", "6.50")
    ]
    past = await reports.get("statement", TeamId=team.team, To="2025-12-31")
    assert [each["Title"] for each in past["Sections"]].count("Caps of members") == 0, "a cap counts now"


async def test_a_past_report_has_the_owner_that_a_credit_had_then(reports: ReportClient) -> None:
    ledger = reports.ledger
    ada, grace = ledger.customer, await ledger.add_customer("Grace")
    credit = await reports.grant(40)
    reports.set_time("2026-02-10T12:00:00Z")
    january = {"From": "2026-01-01", "To": "2026-01-31"}
    before = [(await reports.request(name, CoworkerId=ada, **january)).content for name in ("statement", "liability")]
    record = (await reports.http.get(f"/api/billing/coworkerbookingcredits/{credit}")).json()
    changed = await reports.http.put(
        f"/api/billing/coworkerbookingcredits/{credit}", json={**record, "CoworkerId": grace}
    )
    assert changed.status_code == 200, changed.text
    reports.set_time("2026-03-10T12:00:00Z")

    after = [(await reports.request(name, CoworkerId=ada, **january)).content for name in ("statement", "liability")]
    assert after == before
    found = [
        (await reports.get("statement", CoworkerId=owner, **period))["Rows"]
        for owner in (ada, grace)
        for period in (january, {"From": "2026-01-01"})
    ]
    assert [amounts(rows, "What", "Amount") for rows in found] == [
        [("Granted", "40.00")],
        [],
        [],
        [("Granted", "40.00")],
    ]
    at_location = await reports.get("liability", LocationIds=ledger.business, At="2026-01-31", By="customer")
    assert {row["CustomerId"] for row in at_location["Rows"]} >= {ada}
    assert grace not in {row["CustomerId"] for row in at_location["Rows"]}


async def test_a_past_report_has_the_funding_that_a_credit_had_then(reports: ReportClient) -> None:
    credit = await reports.grant(40)
    before = (await reports.request("liability", At="2026-01-31")).content
    reports.set_time("2026-02-10T12:00:00Z")
    values = {"Funding": "paid", "PricePaid": "30", "SourceDocument": "I-7", "Reason": "sold"}
    done = await reports.api.run_command("/api/billing/coworkerbookingcredits", "SET_FUNDING", [credit], **values)
    assert done.status_code == 200, done.text
    reports.set_time("2026-03-10T12:00:00Z")
    assert amounts((await reports.get("liability"))["Rows"], "Funding", "PricePaid") == [("paid", "30.00")]
    assert amounts((await reports.get("liability", At="2026-01-31"))["Rows"], "Funding", "PricePaid") == [
        ("unknown", None)
    ]
    assert json.loads(before)["Rows"] == (await reports.get("liability", At="2026-01-31"))["Rows"]
