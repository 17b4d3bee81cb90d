"""Contracts over HTTP: active by their dates, and what they are granted (rule 27)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.product import Product
from creditdesk.entities.billing.product_booking_credit import ProductBookingCredit
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from creditdesk.ledger.jobs import run_benefit_renewals
from creditdesk.schema.conversions import format_datetime
from tests.support.api_client import CREDITS, ApiClient, created_id, succeeded
from tests.support.ledger_builder import money

CONTRACTS = "/api/billing/coworkercontracts"
SALES = "/api/billing/coworkerproducts"
DAY, PLAN_PERIOD = 5, 1


async def add_plan(api: ApiClient, renewal: int = DAY) -> int:
    """A plan whose benefit of 10.00 renews each day."""
    ledger = api.ledger
    plan = await ledger.add(Tariff, Name="Flex", BusinessId=ledger.business, CurrencyId=ledger.currency, InvoiceEvery=1)
    await ledger.add(
        TariffBookingCredit, Name="Rooms", TariffId=plan, Credit=money("10.00"),
        ServiceRenewalTime=renewal, CaneBeUsedForBookings=True,
    )  # fmt: skip
    return plan


async def create_contract(api: ApiClient, plan: int, **values: Any) -> int:
    body = {
        "IssuedById": api.ledger.business,
        "CoworkerId": api.ledger.customer,
        "TariffId": plan,
        "BillingDay": 1,
        "Quantity": 1,
        **values,
    }
    return created_id(await api.post(CONTRACTS, body))


def advance(api: ApiClient, **amount: float) -> None:
    """Moves the clock of the application and of the job."""
    api.clock.advance(**amount)
    api.ledger.now = api.clock()


async def renew(api: ApiClient) -> None:
    context = api.ledger.request_context()
    async for _ in run_benefit_renewals(api.ledger.store, context, api.ledger.context):
        pass


async def granted_days(api: ApiClient) -> list[tuple[int, str]]:
    """The days from now on which the customer's credits begin, and their amounts."""
    found = await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=api.ledger.customer, orderby="Id")
    today = datetime.now(UTC).date()
    return [
        ((datetime.fromisoformat(credit["ValidFrom"]).date() - today).days, f"{credit['TotalCredit']:.2f}")
        for credit in found
    ]


async def run_contract_command(api: ApiClient, command: str, contract: int, **parameters: Any) -> httpx.Response:
    return await api.run_command(CONTRACTS, command, [contract], **parameters)


async def test_rule_27_a_contract_without_a_start_begins_when_it_is_made(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api), Quantity=3)
    shown = await api.get(f"{CONTRACTS}/{contract}")
    assert (shown["Active"], shown["Cancelled"], shown["MainContract"]) == (True, False, True)
    await renew(api)
    await renew(api)
    assert await granted_days(api) == [(0, "30.00")]


async def test_rule_27_nothing_renews_before_the_start_or_from_the_end(api: ApiClient) -> None:
    plan = await add_plan(api)
    ends = api.timestamp(days=3)
    contract = await create_contract(api, plan, StartDate=api.timestamp(days=1), CancellationDate=ends)
    await renew(api)
    assert await granted_days(api) == []
    for _ in range(4):
        advance(api, days=1)
        await renew(api)
    assert await granted_days(api) == [(1, "10.00"), (2, "10.00")]
    shown = await api.get(f"{CONTRACTS}/{contract}")
    assert (shown["Active"], shown["Cancelled"]) == (False, True)


async def test_rule_27_a_missed_run_is_caught_up_until_the_end(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api))
    await renew(api)
    assert succeeded(await run_contract_command(
        api, "CANCEL_CONTRACT", contract, **{"Cancellation Date": api.timestamp(days=2)}
    ))  # fmt: skip
    advance(api, days=5)
    await renew(api)
    assert await granted_days(api) == [(0, "10.00"), (1, "10.00")]


async def test_rule_27_nothing_renews_in_a_pause_and_it_is_not_caught_up(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api))
    await renew(api)
    pause = {"From": api.timestamp(days=1), "Until": api.timestamp(days=3)}
    assert succeeded(await run_contract_command(api, "PAUSE_CONTRACT", contract, **pause))
    advance(api, days=2)
    await renew(api)
    assert (await api.get(f"{CONTRACTS}/{contract}"))["InPausedPeriod"]
    assert await granted_days(api) == [(0, "10.00")]
    advance(api, days=2)
    await renew(api)
    assert not (await api.get(f"{CONTRACTS}/{contract}"))["InPausedPeriod"]
    assert await granted_days(api) == [(0, "10.00"), (3, "10.00"), (4, "10.00")]


async def test_rule_27_a_pause_ends_early(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api))
    assert not succeeded(await run_contract_command(api, "RESUME_CONTRACT", contract))
    assert succeeded(await run_contract_command(api, "PAUSE_CONTRACT", contract, Until=api.timestamp(days=9)))
    await renew(api)
    assert await granted_days(api) == []
    assert succeeded(await run_contract_command(api, "RESUME_CONTRACT", contract))
    advance(api, days=1)
    await renew(api)
    assert await granted_days(api) == [(1, "10.00")]


@pytest.mark.parametrize(
    "pause", [{"Until": -1}, {"From": 2, "Until": 1}, {"From": 1, "Until": 1}], ids=["past", "backwards", "empty"]
)
async def test_rule_27_an_impossible_pause_is_refused(api: ApiClient, pause: dict[str, int]) -> None:
    contract = await create_contract(api, await add_plan(api))
    dates = {name: api.timestamp(days=days) for name, days in pause.items()}
    answer = await run_contract_command(api, "PAUSE_CONTRACT", contract, **dates)
    assert answer.status_code == 400
    assert "must lie ahead" in answer.text


async def test_rule_27_an_ended_contract_is_neither_paused_nor_cancelled_again(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api))
    assert succeeded(await run_contract_command(api, "CANCEL_CONTRACT", contract))
    assert not (await api.get(f"{CONTRACTS}/{contract}"))["Active"]
    for command, dates in (("CANCEL_CONTRACT", {}), ("PAUSE_CONTRACT", {"Until": api.timestamp(days=1)})):
        refused = await run_contract_command(api, command, contract, **dates)
        assert not succeeded(refused)
        assert "has ended" in refused.text


async def test_rule_27_withdrawing_a_cancellation_reactivates(api: ApiClient) -> None:
    contract = await create_contract(api, await add_plan(api))
    assert succeeded(await run_contract_command(api, "CANCEL_CONTRACT", contract))
    shown = await api.get(f"{CONTRACTS}/{contract}")
    assert succeeded(await api.http.put(CONTRACTS, json=shown))
    assert not (await api.get(f"{CONTRACTS}/{contract}"))["Active"]
    assert succeeded(await api.http.put(CONTRACTS, json={**shown, "CancellationDate": None}))
    again = await api.get(f"{CONTRACTS}/{contract}")
    assert (again["Active"], again["Cancelled"]) == (True, False)


async def test_rule_27_an_imported_inactive_contract_stays_so(api: ApiClient) -> None:
    """It ended without a date: neither the job nor an update of its notes wakes it."""
    contract = await api.ledger.add(
        CoworkerContract, IssuedById=api.ledger.business, CoworkerId=api.ledger.customer,
        TariffId=await add_plan(api), StartDate=api.clock() - timedelta(days=40), BillingDay=1, Quantity=1,
    )  # fmt: skip
    shown = await api.get(f"{CONTRACTS}/{contract}")
    assert succeeded(await api.http.put(CONTRACTS, json={**shown, "Notes": "old"}))
    await renew(api)
    assert await granted_days(api) == []
    assert not (await api.get(f"{CONTRACTS}/{contract}"))["Active"]


async def test_rule_27_the_first_contract_is_the_main_one(api: ApiClient) -> None:
    plan = await add_plan(api)
    first, second = [await create_contract(api, plan) for _ in range(2)]
    marks = [(await api.get(f"{CONTRACTS}/{contract}"))["MainContract"] for contract in (first, second)]
    assert marks == [True, False]


async def test_rule_27_a_plan_bound_product_benefit_is_granted(api: ApiClient) -> None:
    """Its credit ends with the billing period of the main contract, or of the oldest once that has ended."""
    ledger = api.ledger
    plan = await add_plan(api)
    billed = [1 + (api.clock().day + days) % 28 for days in (4, 9)]
    main, _ = [await create_contract(api, plan, BillingDay=day) for day in billed]
    product = await ledger.add(
        Product, Name="Bundle", BusinessId=ledger.business, CurrencyId=ledger.currency, Price=money("10.00")
    )
    await ledger.add(
        ProductBookingCredit, Name="Bundle", ProductId=product, Credit=money("5.00"),
        ExpirationType=PLAN_PERIOD, CaneBeUsedForBookings=True,
    )  # fmt: skip
    body = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "ProductId": product, "Quantity": 1}
    body |= {"RepeatCycle": 4, "DiscountAmount": 0}
    for billing_day in billed:
        created_id(await api.post(SALES, {**body, "ActivateNow": True}))
        credits_ = await api.list_records(CREDITS, CoworkerBookingCredit_Coworker=ledger.customer, orderby="Id")
        assert datetime.fromisoformat(credits_[-1]["ExpireDate"]).day == billing_day
        assert succeeded(await run_contract_command(api, "CANCEL_CONTRACT", main))
        advance(api, seconds=2)
        main = 0 if billing_day == billed[-1] else main + 1
    assert not succeeded(await api.post(SALES, {**body, "ActivateNow": True}))


async def test_rule_14_a_contract_counts_as_a_plan_while_it_is_active(api: ApiClient) -> None:
    """A credit that is limited to the owners of a plan pays from the contract's start to its end."""
    plan = await add_plan(api)
    credit = await api.create_credit("50.00", ElegibleTariffs=[plan])
    starts = format_datetime(api.clock() + timedelta(days=1))
    contract = await create_contract(api, plan, StartDate=starts)

    async def pays() -> bool:
        (shown,) = await api.preview({"Kind": "booking", "Id": await api.create_booking(hours=1)})
        return [part["credit"] for part in shown["parts"]] == [f"money/{credit}"]

    assert not await pays()
    advance(api, days=2)
    assert await pays()
    assert succeeded(await run_contract_command(api, "CANCEL_CONTRACT", contract))
    assert not await pays()
