"""Amounts that the ledger decides have their currency's digits (rule 3), over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.entities.sys.currency import Currency
from tests.support.api_client import booking_item, charge_item, result_value
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.shared_team import SharedTeam

CURRENCIES = pytest.mark.parametrize(
    ("currency", "hourly_price", "price", "covered_by_time", "rest"),
    [
        ("JPY", "1001", "2252", "751", "1501"),
        ("GBP", "1001", "2252.25", "750.75", "1501.50"),
        ("KWD", "10.001", "22.502", "7.501", "15.001"),
    ],
)
"""135 minutes at a price by the hour, of which time credit covers 45."""


async def use_currency(ledger: LedgerBuilder, code: str, hourly_price: str) -> None:
    async with ledger.store.write_session() as session:
        await session.update(Currency, [(ledger.currency, {"Code": code})])
        await session.update(ExtraService, [(ledger.rate, {"Price": money(hourly_price)})])


async def charge(client: httpx.AsyncClient, booking: int) -> dict[str, Any]:
    """Charges a booking with the command and returns its allocation."""
    body = {"Key": "CHARGE_BOOKING", "Ids": [booking], "Parameters": []}
    response = await client.post("/api/spaces/bookings/runcommand", json=body)
    (charged,) = response.json()["Value"]
    source: dict[str, Any] = charged["Allocation"]["sources"][0]
    return source


@CURRENCIES
async def test_rule_3_price_part_and_charge_have_the_currency_digits(
    ledger: LedgerBuilder,
    client: httpx.AsyncClient,
    currency: str,
    hourly_price: str,
    price: str,
    covered_by_time: str,
    rest: str,
) -> None:
    await use_currency(ledger, currency, hourly_price)
    await ledger.add_time_credit(45)
    booking = await ledger.add_booking(hours=2.25)
    source = await charge(client, booking)
    assert source["currency"] == currency
    assert money(source["price"]) == money(price)
    (part,) = source["parts"]
    assert money(part["covered"]) == money(covered_by_time)
    assert money(source["uncovered"]) == money(rest)
    (_, charged) = await ledger.find(CoworkerExtraService)
    assert charged["Price"] == money(rest)


@pytest.mark.parametrize(
    ("currency", "posted", "taken"),
    [("JPY", "10.9999", "10"), ("GBP", "10.9999", "10.99"), ("KWD", "10.9999", "10.999")],
)
async def test_rule_3_money_credit_pays_in_currency_digits_and_posted_uses_stay_exact(
    ledger: LedgerBuilder, client: httpx.AsyncClient, currency: str, posted: str, taken: str
) -> None:
    await use_currency(ledger, currency, "1000")
    credit = await ledger.add_money_credit(posted)
    source = await charge(client, await ledger.add_booking(hours=1))
    (part,) = source["parts"]
    assert money(part["taken"]) == money(taken)
    left = money(posted) - money(taken)
    assert await ledger.remaining_money(credit) == left
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": 0.0001}
    posted_use = await client.post("/api/billing/coworkerbookingcreditusehistories", json=use)
    assert posted_use.status_code == 200
    assert await ledger.remaining_money(credit) == left - 1


async def test_rule_3_a_requested_amount_stays_exact(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    await use_currency(ledger, "JPY", "1000")
    await ledger.add_money_credit("30", IsUniversalCredit=True)
    body = {
        "CoworkerId": ledger.customer,
        "BusinessId": ledger.business,
        "Sources": [{"Kind": "charge", "Id": 7, "Amount": 12.5}],
    }
    response = await client.post("/api/ledger/previews", json=body)
    (source,) = response.json()["Value"]["Allocation"]["sources"]
    assert (source["price"], source["uncovered"]) == ("12.5000", "0.0000")


async def test_rule_3_a_small_print_job_still_takes_its_units(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    await use_currency(ledger, "JPY", "1000")
    rate = await ledger.add_rate(5, "1", resource_types=(), IsPrintingCredit=True)
    await ledger.add_time_credit(100, ExtraServiceId=rate)
    body = {
        "CoworkerId": ledger.customer,
        "BusinessId": ledger.business,
        "Sources": [{"Kind": "print_job", "Id": 9, "Units": 40}],
    }
    response = await client.post("/api/ledger/previews", json=body)
    (source,) = response.json()["Value"]["Allocation"]["sources"]
    assert (source["price"], source["uncovered"]) == ("1.0000", "0.0000")
    assert source["parts"][0]["taken"] == 40


def basket(ledger: LedgerBuilder, *sources: dict[str, Any]) -> dict[str, Any]:
    return {
        "CoworkerId": ledger.customer,
        "BusinessId": ledger.business,
        "Sources": list(sources),
    }


@pytest.mark.parametrize(
    ("currency", "paid", "rest"),
    [("JPY", "12.5", "988"), ("GBP", "12.345", "987.66"), ("KWD", "12.3455", "987.655")],
)
async def test_rule_3_the_leftover_of_an_amount_paid_by_hand_has_the_currency_digits(
    ledger: LedgerBuilder, client: httpx.AsyncClient, currency: str, paid: str, rest: str
) -> None:
    await use_currency(ledger, currency, "1000")
    await ledger.add_money_credit("2000.00")
    booking = await ledger.add_booking(hours=1)
    by_hand = booking_item(booking, Amount=float(paid))
    result_value(await client.post("/api/ledger/spends", json=basket(ledger, by_hand)))
    source = await charge(client, booking)
    assert money(source["price"]) == money(source["parts"][0]["taken"]) == money(rest)


@pytest.mark.parametrize(("currency", "held", "rest"), [("JPY", "12.5", "988"), ("GBP", "12.345", "987.66")])
async def test_rule_3_the_leftover_of_a_hold_has_the_currency_digits(
    ledger: LedgerBuilder, client: httpx.AsyncClient, currency: str, held: str, rest: str
) -> None:
    await use_currency(ledger, currency, "1000")
    await ledger.add_money_credit("2000.00")
    booking = await ledger.add_booking(hours=1)
    await client.post("/api/ledger/holds", json=basket(ledger, booking_item(booking, Amount=float(held))))
    answer = await client.post("/api/ledger/holds", json=basket(ledger, booking_item(booking)))
    (source,) = result_value(answer)["Allocation"]["sources"]
    assert money(source["price"]) == money(rest)


async def test_rule_3_a_cap_with_more_digits_gives_no_part_of_a_penny(
    shared_team: SharedTeam, client: httpx.AsyncClient
) -> None:
    ledger = shared_team.ledger
    for _ in range(2):
        await shared_team.pool("12.34")
    await shared_team.cap("12.345")
    answer = await client.post("/api/ledger/previews", json=basket(ledger, charge_item(1, 20)))
    (source,) = result_value(answer)["Allocation"]["sources"]
    assert [part["taken"] for part in source["parts"]] == ["12.3400"]
    assert source["uncovered"] == "7.6600"
    assert [seen["reason"] for seen in source["considered"]] == ["used", "member_cap"]


async def test_rule_3_what_an_amount_by_hand_leaves_is_paid_in_the_currency_digits(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    await use_currency(ledger, "JPY", "1000")
    await ledger.add_money_credit("30", IsUniversalCredit=True)
    booking = await ledger.add_booking(hours=1)
    items = (charge_item(1, 12.5), booking_item(booking))
    answer = await client.post("/api/ledger/spends", json=basket(ledger, *items))
    taken = [
        money(part["taken"]) for source in result_value(answer)["Allocation"]["sources"] for part in source["parts"]
    ]
    assert sum(amount % 10_000 != 0 for amount in taken) <= 1
    assert sum(taken) in {money("29.5"), money("30")}
