"""The paths under /api/ledger and the actions over HTTP, on both engines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from creditdesk.audit.balances import balance_differences
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.spaces.team import Team
from creditdesk.ledger.journal.invariants import AccountBalances
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, entry_from_record
from tests.support.api_client import ledger_app
from tests.support.ledger_builder import NOON, LedgerBuilder, money
from tests.support.users import create_user_token, http_client


def basket_body(ledger: LedgerBuilder, **source: Any) -> dict[str, Any]:
    return {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "Sources": [source]}


async def test_rule_19_a_spend_has_the_parts_of_its_preview(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    credit = await ledger.add_money_credit("30.00", IsUniversalCredit=True)
    body = basket_body(ledger, Kind="charge", Id=7, Amount=12.5)
    seen = (await client.post("/api/ledger/previews", json=body)).json()
    assert await ledger.remaining_money(credit) == money("30.00")
    done = (await client.post("/api/ledger/spends", json=body)).json()
    assert done["WasSuccessful"]
    parts = done["Value"]["Allocation"]["sources"][0]["parts"]
    assert parts == seen["Value"]["Allocation"]["sources"][0]["parts"]
    assert parts == [
        {
            "credit": f"money/{credit}", "taken": "12.5000", "covered": "12.5000",
            "at_credit_price": False,
        }
    ]  # fmt: skip
    assert await ledger.remaining_money(credit) == money("17.50")


async def test_rule_32_a_repeated_spend_returns_the_same_bytes(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    credit = await ledger.add_money_credit("30.00")
    body = basket_body(ledger, Kind="booking", Id=await ledger.add_booking(hours=1))
    key = {"Idempotency-Key": "once"}
    first = await client.post("/api/ledger/spends", json=body, headers=key)
    again = await client.post("/api/ledger/spends", json=body, headers=key)
    assert first.status_code == 200
    assert again.content == first.content
    assert await ledger.remaining_money(credit) == money("10.00")
    other = await client.post(
        "/api/ledger/spends", json=basket_body(ledger, Kind="charge", Id=1, Amount=1), headers=key
    )
    assert other.status_code == 422


async def test_a_key_used_on_one_path_is_refused_on_the_history(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    credit = await ledger.add_money_credit("30.00")
    key = {"Idempotency-Key": "once"}
    await client.post("/api/ledger/spends", json=basket_body(ledger, Kind="charge", Id=1, Amount=1), headers=key)
    answer = await client.post(
        "/api/billing/coworkerbookingcreditusehistories",
        json={"CoworkerBookingCreditId": credit, "CreditUsed": 1},
        headers=key,
    )
    assert answer.status_code in (409, 422)
    assert await ledger.remaining_money(credit) == money("30.00")


async def test_rule_26_a_confirmed_hold_cannot_be_released(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    credit = await ledger.add_money_credit("30.00")
    body = basket_body(ledger, Kind="booking", Id=await ledger.add_booking(hours=1))
    held = (await client.post("/api/ledger/holds", json=body)).json()["Value"]["HoldId"]
    seen = (await client.get(f"/api/ledger/balances?CoworkerId={ledger.customer}")).json()
    (value,) = seen["Value"]
    assert (value["Remaining"], value["Held"], value["Available"]) == (
        "30.0000", "20.0000", "10.0000",
    )  # fmt: skip
    assert (await client.post(f"/api/ledger/holds/{held}/confirm")).json()["WasSuccessful"]
    released = (await client.post(f"/api/ledger/holds/{held}/release")).json()
    assert not released["WasSuccessful"]
    assert await ledger.remaining_money(credit) == money("10.00")
    assert (await client.post("/api/ledger/holds/999/release")).status_code == 404


async def test_corrections_over_http(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    credit = await ledger.add_money_credit("30.00")
    use = (
        await client.post(
            "/api/billing/coworkerbookingcreditusehistories",
            json={"CoworkerBookingCreditId": credit, "CreditUsed": 5},
        )
    ).json()["Value"]
    assert use["CoworkerBookingCreditRemainingCredit"] == 30
    back = await client.post("/api/ledger/reversals", json={"Kind": "money", "Ids": [use["Id"]], "Amount": 2})
    assert back.json()["Value"][0]["Amount"] == "2.0000"
    more = await client.post(
        "/api/ledger/adjustments",
        json={"Kind": "money", "Id": credit, "Amount": -1, "Reason": "slip"},
    )
    assert more.json()["Value"]["Remaining"] == "26.0000"
    bad = await client.post("/api/ledger/adjustments", json={"Kind": "gold", "Id": 1})
    assert bad.status_code == 400
    lines = (await client.get("/api/ledger/entries")).json()["Records"]
    assert [line["Kind"] for line in lines] == ["grant", "use", "reversal", "adjustment"]


async def test_rule_23_actions_charge_and_cancel_a_booking(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    credit = await ledger.add_money_credit("30.00")
    booking = await ledger.add_booking(hours=1)
    path = "/api/spaces/bookings"
    run = {"Key": "CHARGE_BOOKING", "Ids": [booking], "Parameters": []}
    assert (await client.post(f"{path}/runcommand", json=run)).json()["WasSuccessful"]
    assert await ledger.remaining_money(credit) == money("10.00")
    blocked = (await client.delete(f"{path}/{booking}")).json()
    assert blocked["Message"] == "This booking has already been charged to this customer."
    run = {"Key": "CANCEL_BOOKING", "Ids": [booking], "Parameters": []}
    assert (await client.post(f"{path}/runcommand", json=run)).json()["WasSuccessful"]
    assert await ledger.remaining_money(credit) == money("30.00")


async def test_roles_and_locations_are_required(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    await ledger.add_money_credit("30.00", IsUniversalCredit=True)
    token = await create_user_token(ledger.store, "clerk@example.com", is_admin=False)
    async with http_client(ledger_app(ledger), token) as clerk:
        url = f"/api/ledger/balances?CoworkerId={ledger.customer}"
        assert (await clerk.get(url)).status_code == 403
    wrong = await client.post(
        "/api/ledger/spends", json=basket_body(ledger, Kind="booking", Id=999)
    )  # fmt: skip
    assert wrong.status_code == 400
    assert wrong.json()["Errors"][0]["PropertyName"] == "Sources"


async def test_rule_27_renewals_are_shown_and_run(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/ledger/renewals")).json()["Records"] == []
    assert (await client.post("/api/ledger/renewals", json={"DryRun": True})).json()["Value"] == []


async def test_rule_34_a_day_of_operations_verifies(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    credit = await ledger.add_money_credit("30.00", ExpireDate=NOON + timedelta(days=9000))
    for amount in (1, 2, 3):
        await client.post(
            "/api/billing/coworkerbookingcreditusehistories",
            json={"CoworkerBookingCreditId": credit, "CreditUsed": amount},
        )
    lines = [entry_from_record(record) for record in await ledger.journal_lines("money", credit)]
    stored = AccountBalances(money("24.00"), 0, money("30.00"), 4)
    assert list(balance_differences(MONEY_MAPPING, stored, lines, money("6.00"), "GBP")) == []
    more = AccountBalances(money("25.00"), 0, money("30.00"), 4)
    [wrong] = balance_differences(MONEY_MAPPING, more, lines, money("6.00"), "GBP")
    assert wrong.message == "remaining is 25.00 GBP and the journal says 24.00 GBP"


async def test_rules_5_and_6_credits_are_created_updated_and_deleted_over_http(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    path = "/api/billing/coworkerbookingcredits"
    body = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "TotalCredit": 40.5}
    made = (await client.post(path, json=body)).json()["Value"]
    assert (made["RemainingCredit"], made["TotalCredit"]) == (40.5, 40.5)
    less = await client.put(path, json={**made, "TotalCredit": 30, "Description": "gift"})
    assert less.json()["Value"]["RemainingCredit"] == 30
    assert (await client.delete(f"{path}/{made['Id']}")).json()["WasSuccessful"] is False
    other = (await client.post(path, json=body)).json()["Value"]
    assert (await client.delete(f"{path}/{other['Id']}")).json()["WasSuccessful"] is True
    path = "/api/billing/coworkerextraservices"
    body = {
        "CoworkerId": ledger.customer, "BusinessId": ledger.business, "ExtraServiceId": ledger.rate,
        "TotalUses": 90,
    }  # fmt: skip
    time = (await client.post(path, json=body)).json()["Value"]
    assert (time["RemainingUses"], time["Price"], time["ChargePeriod"]) == (90, 30, 1)
    charge = (await client.post(path, json={**body, "BookingId": 5, "Free": True})).json()["Value"]
    assert (charge["RemainingUses"], charge["Price"]) == (0, 0)
    moved = await client.put(path, json={**time, "BusinessId": ledger.business + 1})
    assert moved.status_code == 400
    fewer = await client.put(path, json={**time, "TotalUses": 60})
    assert fewer.json()["Value"]["RemainingUses"] == 60


async def test_rule_11_only_the_description_of_a_use_is_updated_over_http(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    credit = await ledger.add_money_credit("30.00")
    path = "/api/billing/coworkerbookingcreditusehistories"
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 5}
    use = (await client.post(path, json=body)).json()["Value"]
    updated = await client.put(path, json={**use, "Description": "room"})
    assert updated.json()["Value"]["Description"] == "room"
    more = await client.put(path, json={**use, "CreditUsed": 6})
    assert more.status_code == 400
    assert "reverse the use with the command REVERSE_USE" in more.json()["Message"]
    assert (await client.delete(f"{path}/{use['Id']}")).status_code == 405
    time = "/api/billing/coworkerextraserviceusehistories"
    assert (await client.put(time, json={"Id": 1})).status_code == 405
    seen = (await client.get(f"{path}/{use['Id']}")).json()
    assert seen["CoworkerBookingCreditRemainingCredit"] == 25


async def test_rule_16_a_member_cap_is_set_over_http_and_explained(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    payer = await ledger.add_customer("Paula")
    members = (payer, ledger.customer)
    team = await ledger.add(
        Team, Name="Cog", BusinessId=ledger.business, PayingMemberId=payer,
        ShareBookingCredit=True, TeamMembers=members,
    )  # fmt: skip
    credit = await ledger.add_money_credit("100.00", CoworkerId=payer, IsUniversalCredit=True)
    body = {"TeamId": team, "CreditKind": "Money", "Period": "Month", "Amount": 30}
    cap = (await client.post("/api/ledger/poolcaps", json=body)).json()["Value"]
    assert {name: cap[name] for name in (*body, "TeamName")} == {
        "TeamId": team, "CreditKind": 1, "Period": 3, "Amount": 30, "TeamName": "Cog",
    }  # fmt: skip

    async def covered(path: str) -> tuple[str, str]:
        body = basket_body(ledger, Kind="charge", Id=7, Amount=50)
        found = (await client.post(f"/api/ledger/{path}", json=body)).json()["Value"]
        (source,) = found["Allocation"]["sources"]
        (seen,) = source["considered"]
        return source["uncovered"], seen["reason"]

    assert await covered("previews") == ("20.0000", "used")
    assert await covered("spends") == ("20.0000", "used")
    assert await covered("previews") == ("50.0000", "member_cap")
    drawn = (await client.get(f"/api/ledger/entries?JournalLine_MemberId={ledger.customer}")).json()
    assert [(line["CreditId"], line["Amount"]) for line in drawn["Records"]] == [(credit, 30)]
    raised = {**body, "Id": cap["Id"], "Amount": 45}
    assert (await client.put("/api/ledger/poolcaps", json=raised)).json()["WasSuccessful"]
    assert await covered("holds") == ("35.0000", "used")
    assert await covered("previews") == ("50.0000", "member_cap")
    assert (await client.delete(f"/api/ledger/poolcaps/{cap['Id']}")).json()["WasSuccessful"]
    assert await covered("spends") == ("0.0000", "used")


async def test_rule_16_an_invalid_cap_reports_all_errors(client: httpx.AsyncClient) -> None:
    body = {"CreditKind": "Coins", "Period": 9, "Amount": -1}
    refused = (await client.post("/api/ledger/poolcaps", json=body)).json()["Errors"]
    assert [each["PropertyName"] for each in refused] == ["Team", "CreditKind", "Period", "Amount"]


async def test_rule_33_an_overdraft_is_set_by_action_and_is_not_a_public_field(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    path = "/api/billing/coworkerextraservices"
    rate = await ledger.add_rate(5, "0.01", IsPrintingCredit=True)
    credit, time = (
        await ledger.add_time_credit(10, ExtraServiceId=rate),
        await ledger.add_time_credit(60),
    )
    offered = (await client.get(f"{path}/commands")).json()
    (shown,) = [each for each in offered if each["Key"] == "SET_OVERDRAFT"]
    assert shown["RequiresParameters"] == [{"Name": "Limit", "Type": "integer"}]

    async def limit(uses: int, *ids: int) -> dict[str, Any]:
        named = [{"Name": "Limit", "Type": "integer", "Value": uses}]
        body = {"Key": "SET_OVERDRAFT", "Ids": list(ids), "Parameters": named}
        result: dict[str, Any] = (await client.post(f"{path}/runcommand", json=body)).json()
        return result

    done = await limit(20, credit)
    assert (done["WasSuccessful"], done["Message"]) == (
        True,
        "1 credit may go 20 uses below zero.",
    )
    (refused,) = (await limit(20, credit, time))["Errors"]
    assert refused["Message"] == f"credit #{time} is not printing credit"
    job = basket_body(ledger, Kind="print_job", Id=1, Units=25)
    (paid,) = (await client.post("/api/ledger/spends", json=job)).json()["Value"]["Allocation"]["sources"]
    assert [(part["credit"], part["taken"]) for part in paid["parts"]] == [(f"printing/{credit}", 25)]
    record = (await client.get(f"{path}/{credit}")).json()
    assert record["RemainingUses"] == -15
    assert "Overdraft" not in record
    (balance, _) = (await client.get(f"/api/ledger/balances?CoworkerId={ledger.customer}")).json()["Value"]
    assert (balance["Remaining"], balance["Available"]) == (-15, 5)
    (refused,) = (await limit(14, credit))["Errors"]
    assert refused["Message"] == "must not be less than the 15 that is overdrawn"
    # A body that names it sets nothing, in a new record or in this one.
    named = {"Overdraft": 500, "TotalUses": 10, "ExtraServiceId": rate}
    buyer = {"CoworkerId": ledger.customer, "BusinessId": ledger.business}
    await client.put(path, json={"Id": credit, **named, **buyer})
    made = (await client.post(path, json={**named, **buyer})).json()["Value"]["Id"]
    kept = [await ledger.get(CoworkerExtraService, each) for each in (credit, made)]
    assert [each["Overdraft"] for each in kept] == [20, None]
