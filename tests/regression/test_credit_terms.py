"""The terms of a credit have a history: each change is a journal line (rules 4, 28, 35), on both engines."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from creditdesk.entities.spaces.resource_type import ResourceType
from tests.support.api_client import CREDITS, TIME_CREDITS, ApiClient, booking_item, succeeded


async def put(api: ApiClient, path: str, credit: int, **changes: Any) -> httpx.Response:
    """A PUT of the record as GET shows it, with these changes."""
    shown = (await api.http.get(f"{path}/{credit}")).json()
    return await api.http.put(path, json={**shown, **changes})


async def changes_of(api: ApiClient, credit: int, kind: str = "money") -> list[tuple[str, dict[str, Any]]]:
    lines = await api.list_journal_lines(credit, kind)
    return [(line["Cause"], json.loads(line["Document"])) for line in lines if line["Kind"] == "change"]


async def test_rule_28_each_kind_of_change_is_a_line_with_before_and_after(api: ApiClient) -> None:
    other = await api.ledger.add(ResourceType, Name="Desk", BusinessId=api.ledger.business)
    ends = api.timestamp(days=9)
    credit = await api.create_credit("40.00", ElegibleResourceTypes=[other, api.ledger.resource_type])
    changed = await put(
        *(api, CREDITS, credit),
        ExpireDate=ends,
        IsUniversalCredit=True,
        ElegibleResourceTypes=[api.ledger.resource_type],
        UseCreditPrice=True,
        Description="Gift",
    )
    assert succeeded(changed), changed.text
    both = sorted([api.ledger.resource_type, other])
    assert dict(await changes_of(api, credit)) == {
        "window_moved": {"ExpireDate": [None, ends]},
        "limits_changed": {
            "ElegibleResourceTypes": [both, [api.ledger.resource_type]],
            "IsUniversalCredit": [None, True],
        },
        "price_changed": {"UseCreditPrice": [None, True]},
    }
    assert succeeded(await put(api, CREDITS, credit))
    assert len(await api.list_journal_lines(credit)) == 4
    assert await api.verify_problems() == []


async def test_rule_28_prices_and_rates_of_time_credit_are_journalled(api: ApiClient) -> None:
    credit = await api.create_time_credit(60, Price=12.5)
    rate = await api.ledger.add_rate(1, "30.00")
    assert succeeded(await put(api, TIME_CREDITS, credit, Price=10, ExtraServiceId=rate))
    assert await changes_of(api, credit, "time") == [
        ("rate_changed", {"ExtraServiceId": [api.ledger.rate, rate]}),
        ("price_changed", {"Price": ["12.5", "10"]}),
    ]


async def test_rule_4_a_past_instant_is_judged_with_the_window_that_stood_then(api: ApiClient) -> None:
    starts = api.timestamp(days=-1)
    credit = await api.create_credit("40.00", ValidFrom=starts, ExpireDate=api.timestamp(days=5))
    before = await api.get_balance(credit)
    api.clock.advance(days=1)
    earlier = api.timestamp()
    api.clock.advance(days=1)
    assert succeeded(await put(api, CREDITS, credit, ExpireDate=earlier))
    now = await api.get_balance(credit)
    assert (now["ExpireDate"], now["Available"]) == (earlier, "0.0000")
    then = await api.get_balance(credit, At=earlier)
    assert (then["ExpireDate"], then["Available"]) == (before["ExpireDate"], "40.0000")
    late = await api.get_balance(credit, At=api.timestamp(seconds=5), AsKnownAt=earlier)
    assert late["ExpireDate"] == before["ExpireDate"]


async def test_rule_4_holds_and_owners_of_a_past_instant(api: ApiClient) -> None:
    other = await api.ledger.add_customer("Grace")
    held = await api.create_credit("40.00")
    await api.create_hold(booking_item(await api.create_booking()))
    given_away = await api.create_credit("7.00")
    api.clock.advance(hours=1)
    then = api.timestamp()
    api.clock.advance(hours=1)
    group = (await api.list_journal_lines(held))[-1]
    assert group["Kind"] == "hold"
    await api.create_hold(booking_item(await api.create_booking()))
    assert succeeded(await put(api, CREDITS, given_away, CoworkerId=other))
    assert (await api.get_balance(held))["Held"] == "40.0000"
    assert (await api.get_balance(held, At=then))["Held"] == "20.0000"
    owned = [each["Id"] for each in (await api.get("/api/ledger/balances", CoworkerId=api.ledger.customer))["Value"]]
    assert given_away not in owned
    assert (await api.get_balance(given_away, At=then))["Remaining"] == "7.0000"
    found = await api.get("/api/ledger/balances", CoworkerId=other, At=then)
    assert found["Value"] == []


async def test_rule_35_the_grant_line_states_funding_and_terms(api: ApiClient) -> None:
    credit = await api.create_credit("40.00")
    (line,) = await api.list_journal_lines(credit)
    assert json.loads(line["Document"]) == {
        "Funding": {"Funding": "unknown", "PricePaid": None, "SourceDocument": None},
        "Terms": {
            "BusinessId": api.ledger.business,
            "CaneBeUsedForBookings": True,
            "CoworkerId": api.ledger.customer,
        },
    }


@pytest.mark.parametrize(("path", "kind"), [(CREDITS, "money"), (TIME_CREDITS, "time")])
async def test_rule_35_an_operator_states_the_funding(api: ApiClient, path: str, kind: str) -> None:
    credit = await (api.create_credit("40.00") if kind == "money" else api.create_time_credit(60))
    stated = {"Funding": "paid", "PricePaid": "36.50", "SourceDocument": "INV-7", "Reason": "Prepaid card"}
    for _ in range(2):
        assert succeeded(await api.run_command(path, "SET_FUNDING", [credit], **stated))
    (change,) = await changes_of(api, credit, kind)
    assert change == (
        "funding_changed",
        {"Funding": ["unknown", "paid"], "PricePaid": [None, "36.5"], "SourceDocument": [None, "INV-7"]},
    )
    balance = await api.get_balance(credit, kind)
    assert (balance["Funding"], balance["PricePaid"], balance["SourceDocument"]) == ("paid", "36.5", "INV-7")
    assert await api.verify_problems() == []


@pytest.mark.parametrize("stated", [{"Funding": "bought"}, {"Funding": "paid", "PricePaid": "-1"}, {"PricePaid": "1"}])
async def test_rule_35_a_wrong_funding_is_an_error(api: ApiClient, stated: dict[str, str]) -> None:
    credit = await api.create_credit("40.00")
    answer = await api.run_command(CREDITS, "SET_FUNDING", [credit], Reason="x", **stated)
    assert (answer.status_code, succeeded(answer)) == (400, False)
    assert await changes_of(api, credit) == []


async def test_rule_18_6_free_credit_pays_before_paid(api: ApiClient) -> None:
    first, second = await api.create_credit("20.00"), await api.create_credit("20.00")
    assert succeeded(await api.run_command(CREDITS, "SET_FUNDING", [second], Funding="goodwill", Reason="gift"))
    (source,) = await api.preview(booking_item(await api.create_booking()))
    assert [part["credit"] for part in source["parts"]] == [f"money/{second}"]
    assert succeeded(await api.run_command(CREDITS, "SET_FUNDING", [first], Funding="migrated", Reason="old system"))
    (source,) = await api.preview(booking_item(await api.create_booking()))
    assert [part["credit"] for part in source["parts"]] == [f"money/{first}"]
