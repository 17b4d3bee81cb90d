"""A credit keeps its owner and its units once it has a past (rules 1, 5, 16, 33)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.api_client import CREDITS, TIME_CREDITS, ApiClient, booking_item, succeeded

RATES = "/api/billing/extraservices"


async def put(api: ApiClient, path: str, record_id: int, **changes: Any) -> httpx.Response:
    """A PUT of the record as GET shows it, with these changes."""
    shown = (await api.http.get(f"{path}/{record_id}")).json()
    return await api.http.put(path, json={**shown, **changes})


async def test_rule_16_an_unused_credit_changes_its_owner_by_a_journal_line(
    api: ApiClient,
) -> None:
    other = await api.ledger.add_customer("Grace")
    credit = await api.create_credit("40.00")
    assert succeeded(await put(api, CREDITS, credit, CoworkerId=other))
    assert succeeded(await put(api, CREDITS, credit, CoworkerId=api.ledger.customer))
    lines = await api.list_journal_lines(credit)
    assert [(line["Kind"], line["CoworkerId"]) for line in lines] == [
        ("grant", api.ledger.customer),
        ("change", api.ledger.customer),
        ("change", other),
    ]
    assert lines[1]["Reason"] == f"owner changed from #{api.ledger.customer} to #{other}"
    assert await api.verify_problems() == []


@pytest.mark.parametrize("is_reversed", [False, True])
async def test_rule_16_a_used_credit_keeps_its_owner(api: ApiClient, is_reversed: bool) -> None:
    other = await api.ledger.add_customer("Grace")
    credit = await api.create_credit("40.00")
    await api.post_use(credit, "5.00")
    if is_reversed:
        (use,) = await api.list_uses(credit)
        path = "/api/billing/coworkerbookingcreditusehistories"
        assert succeeded(await api.run_command(path, "REVERSE_USE", [use["Id"]]))
    answer = await put(api, CREDITS, credit, CoworkerId=other)
    assert (answer.status_code, "was used" in answer.text) == (400, True)
    assert (await api.get(f"{CREDITS}/{credit}"))["CoworkerId"] == api.ledger.customer
    assert succeeded(await put(api, CREDITS, credit, Description="gift"))


async def test_rule_16_a_held_credit_keeps_its_owner(api: ApiClient) -> None:
    other = await api.ledger.add_customer("Grace")
    credit = await api.create_credit("40.00")
    await api.create_hold(booking_item(await api.create_booking(hours=1)))
    answer = await put(api, CREDITS, credit, CoworkerId=other)
    assert (answer.status_code, "is held" in answer.text) == (400, True)


async def test_rule_5_a_used_time_credit_keeps_its_rate_and_its_owner(api: ApiClient) -> None:
    other = await api.ledger.add_customer("Grace")
    prints = await api.ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
    unused, used = await api.create_time_credit(300), await api.create_time_credit(300)
    assert succeeded(await put(api, TIME_CREDITS, unused, ExtraServiceId=prints))
    reasons = [line["Reason"] for line in await api.list_journal_lines(unused, "time")]
    assert reasons == ["granted", f"rate changed from #{api.ledger.rate} to #{prints}"]
    assert succeeded(await api.spend(booking_item(await api.create_booking(hours=1))))
    for changes in ({"ExtraServiceId": prints}, {"CoworkerId": other}):
        answer = await put(api, TIME_CREDITS, used, **changes)
        assert (answer.status_code, "was used" in answer.text) == (400, True)


async def test_rule_33_a_rate_with_credits_keeps_its_kind_and_unit(api: ApiClient) -> None:
    rate = await api.ledger.add_rate(
        *(5, "1"),
        resource_types=(),
        IsPrintingCredit=True,
        DisplayOrder=1,
        LastMinuteAdjustmentType=1,
    )
    changed = await put(api, RATES, rate, IsPrintingCredit=False)
    assert succeeded(changed), changed.text
    assert succeeded(await put(api, RATES, rate, IsPrintingCredit=True))
    credit = await api.create_time_credit(10, ExtraServiceId=rate, ChargePeriod=5)
    result = await api.run_command(TIME_CREDITS, "SET_OVERDRAFT", [credit], Limit=5)
    assert succeeded(result), result.text
    for name, value in (("IsPrintingCredit", False), ("ChargePeriod", 1)):
        answer = await put(api, RATES, rate, **{name: value})
        assert (answer.status_code, "cannot be changed" in answer.text) == (400, True)
    assert succeeded(await put(api, RATES, rate, Name="Prints"))
