"""Baskets of several sources over HTTP: searched without locks, decided over locked balances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.app import build_app
from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger import basket_search
from creditdesk.ledger.rules.assignment import assign
from creditdesk.ledger.rules.offers import Assignment, BasketProblem
from creditdesk.settings import Settings
from tests.support.ledger_builder import MONEY_USE, LedgerBuilder, money
from tests.support.users import create_user_token, http_client

SPENDS = "/api/ledger/spends"


@pytest_asyncio.fixture
async def client(ledger: LedgerBuilder) -> AsyncIterator[httpx.AsyncClient]:
    ledger.now = datetime.now(UTC).replace(microsecond=0)
    token = await create_user_token(ledger.store, "boss@example.com")
    app = build_app(ledger.store, Settings(), lambda: ledger.now)
    async with http_client(app, token) as opened:
        yield opened


async def two_bookings(ledger: LedgerBuilder) -> dict[str, Any]:
    """A basket of a booking of one hour (20.00) and one of two hours (40.00)."""
    bookings = [await ledger.add_booking(hours=hours) for hours in (1, 2)]
    items = [{"Kind": "booking", "Id": booking} for booking in bookings]
    return {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "Sources": items}


def parts(answer: httpx.Response) -> list[list[tuple[str, Any, str]]]:
    assert answer.json()["WasSuccessful"], answer.text
    allocation = answer.json()["Value"]["Allocation"]
    assert allocation["exact"]
    return [
        [(part["credit"], part["taken"], part["covered"]) for part in source["parts"]]
        for source in allocation["sources"]
    ]


async def test_basket_of_two_bookings_is_paid_as_previewed(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    body = await two_bookings(ledger)
    time = await ledger.add_time_credit(60)
    credit = await ledger.add_money_credit("30.00")

    previewed = parts(await client.post("/api/ledger/previews", json=body))
    spent = parts(await client.post(SPENDS, json=body))

    assert previewed == spent
    assert spent == [
        [(f"time/{time}", 60, "20.0000")],
        [(f"money/{credit}", "30.0000", "30.0000")],
    ]
    assert await ledger.remaining_money(credit) == 0


async def test_basket_is_held_after_a_search(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    body = await two_bookings(ledger)
    await ledger.add_money_credit("30.00")

    answer = await client.post("/api/ledger/holds", json=body, headers={"Idempotency-Key": "h"})

    assert sum(len(each) for each in parts(answer)) == 2
    assert sum(hold["Amount"] for hold in await ledger.find(Hold)) == money("30.00")
    again = await client.post("/api/ledger/holds", json=body, headers={"Idempotency-Key": "h"})
    assert again.content == answer.content


def during_search(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[Any]]) -> None:
    async def search(problem: BasketProblem) -> Assignment:
        await act()
        return assign(problem)

    monkeypatch.setattr(basket_search, "search", search)


async def test_rule_31_credit_used_during_the_search_is_searched_again(
    ledger: LedgerBuilder, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await two_bookings(ledger)
    credit = await ledger.add_money_credit("30.00")
    amounts = iter(["10.00"])

    async def use_some() -> None:
        if amount := next(amounts, None):
            # Would wait forever if the basket's search held the credit's lock.
            await ledger.post_use(credit, amount)

    during_search(monkeypatch, use_some)

    spent = parts(await client.post(SPENDS, json=body))

    assert sum(money(covered) for source in spent for _, _, covered in source) == money("20.00")
    assert await ledger.remaining_money(credit) == 0


async def test_rule_31_credit_that_changes_during_every_search_is_a_conflict(
    ledger: LedgerBuilder, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = await two_bookings(ledger)
    credit = await ledger.add_money_credit("30.00")
    during_search(monkeypatch, lambda: ledger.post_use(credit, "0.50"))

    answer = await client.post(SPENDS, json=body, headers={"Idempotency-Key": "k"})

    assert answer.status_code == 409
    uses = await ledger.find(MONEY_USE)
    assert {use["CreditUsed"] for use in uses} == {money("0.50")}
    assert await ledger.remaining_money(credit) == money("30.00") - len(uses) * money("0.50")
    monkeypatch.undo()
    assert (await client.post(SPENDS, json=body, headers={"Idempotency-Key": "k"})).json()["WasSuccessful"]
