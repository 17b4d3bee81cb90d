"""Concurrent requests on baskets share a transaction, and each gets its own result."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.stored_response import StoredResponse
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.batching import DEFERRED
from creditdesk.ledger.idempotency import SavedResponse
from creditdesk.ledger.loaders.items import BasketRequest, Buyer, ItemRequest
from creditdesk.ledger.operations.baskets import load_baskets
from creditdesk.ledger.operations.bookings import charge_bookings
from creditdesk.ledger.operations.spend_batch import BasketSpend, execute_batch
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.errors import raise_first_error
from creditdesk.storage.sqlite import SQLiteStore
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder, money

SPENDS = "/api/ledger/spends"
PREVIEWS = "/api/ledger/previews"
USES = "/api/billing/coworkerbookingcreditusehistories"


async def add_visitors(ledger: LedgerBuilder, count: int, total: str = "30.00") -> list[tuple[int, int, int]]:
    """Adds `count` customers, each with a credit and a one-hour booking for 20.00."""
    made = []
    for number in range(count):
        customer = await ledger.add_customer(f"Visitor {number}")
        credit = await ledger.add_money_credit(total, CoworkerId=customer)
        made.append((customer, credit, await ledger.add_booking(hours=1, CoworkerId=customer)))
    return made


def basket_body(customer: int, booking: int) -> dict[str, Any]:
    return {"CoworkerId": customer, "Sources": [{"Kind": "booking", "Id": booking}]}


def source_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.json()["WasSuccessful"], answer.text
    source: dict[str, Any]
    (source,) = answer.json()["Value"]["Allocation"]["sources"]
    return source


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_rule_31_a_booking_locked_elsewhere_delays_only_its_own_spend(
    ledger: LedgerBuilder,
) -> None:
    people = await add_visitors(ledger, 4)
    spends = [
        BasketSpend(
            BasketRequest(Buyer(who), (ItemRequest(SourceKind.BOOKING, booking),), ledger.request_context()),
            "print",
            lambda drawn: str(drawn.allocation.sources[0].uncovered).encode(),
        )
        for who, _, booking in people
    ]
    async with ledger.store.write_session() as holder:
        await holder.lock(Booking, [people[2][2]])
        async with asyncio.timeout(5), ledger.store.write_session() as session:
            responses = await execute_batch(session, spends, 1, ledger.context)
        assert responses == [
            SavedResponse(200, b"0"),
            SavedResponse(200, b"0"),
            DEFERRED,
            SavedResponse(200, b"0"),
        ]
        assert await money_left(ledger, people) == [money("10.00")] * 2 + [
            money("30.00"),
            money("10.00"),
        ]
    async with ledger.store.write_session() as session:
        assert await execute_batch(session, [spends[2]], 0, ledger.context) == [SavedResponse(200, b"0")]
    assert await money_left(ledger, people) == [money("10.00")] * 4


async def money_left(ledger: LedgerBuilder, people: list[tuple[int, int, int]]) -> list[int]:
    return [await ledger.remaining_money(credit) for _, credit, _ in people]


async def test_rule_31_spends_of_different_customers_share_a_transaction(
    ledger: LedgerBuilder, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_visitors(ledger, 8)
    counters.clear()
    answers = await asyncio.gather(*(client.post(SPENDS, json=basket_body(who, booking)) for who, _, booking in people))
    assert [source_of(answer)["uncovered"] for answer in answers] == ["0.0000"] * 8
    assert counters["write_session"] < 8
    for _, credit, booking in people:
        assert await ledger.remaining_money(credit) == money("10.00")
        assert len(await ledger.find(AllocationDocument, SourceId=booking)) == 1


async def test_rule_31_posted_uses_and_baskets_share_a_transaction(
    ledger: LedgerBuilder, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_visitors(ledger, 4)
    counters.clear()
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=basket_body(who, booking)) for who, _, booking in people),
        *(client.post(USES, json={"CoworkerBookingCreditId": credit, "CreditUsed": 10}) for _, credit, _ in people),
    )
    assert all(answer.json()["WasSuccessful"] for answer in answers)
    assert counters["write_session"] < 8
    assert await money_left(ledger, people) == [0] * 4


async def test_rule_32_a_key_is_shared_by_posted_uses_and_baskets(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    [(ada, credit, booking)] = await add_visitors(ledger, 1)
    key = {"Idempotency-Key": "one for both"}
    use = {"CoworkerBookingCreditId": credit, "CreditUsed": 10}
    answers = await asyncio.gather(
        client.post(SPENDS, json=basket_body(ada, booking), headers=key),
        client.post(USES, json=use, headers=key),
    )
    first, second = sorted(answer.status_code for answer in answers)
    assert first == 200
    assert second in (409, 422)
    assert len(await ledger.find(StoredResponse)) == 1


async def test_rule_31_a_failed_basket_leaves_the_rest_of_the_batch(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    (ada, credit, booking), (eve, _, _) = await add_visitors(ledger, 2)
    paid, refused, unknown = await asyncio.gather(
        client.post(SPENDS, json=basket_body(ada, booking)),
        client.post(SPENDS, json=basket_body(eve, booking)),
        client.post(SPENDS, json=basket_body(ada + 1000, booking)),
    )
    assert source_of(paid)["uncovered"] == "0.0000"
    assert (refused.status_code, unknown.status_code) == (400, 400)
    assert "is not of this customer" in refused.text
    assert unknown.json()["Errors"][0]["PropertyName"] == "Coworker"
    assert await ledger.remaining_money(credit) == money("10.00")


async def test_concurrent_spends_of_one_booking_pay_it_once(ledger: LedgerBuilder, client: httpx.AsyncClient) -> None:
    [(ada, credit, booking)] = await add_visitors(ledger, 1, "100.00")
    answers = await asyncio.gather(*(client.post(SPENDS, json=basket_body(ada, booking)) for _ in range(5)))
    prices = [source_of(answer)["price"] for answer in answers]
    assert sorted(prices) == ["0.0000"] * 4 + ["20.0000"]
    assert await ledger.remaining_money(credit) == money("80.00")


async def test_holds_of_two_customers_on_equal_source_keys_settle_once(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    people = await add_visitors(ledger, 2)
    for _, credit, _ in people:
        await ledger.update_credit(credit, IsUniversalCredit=True)
    charge = {"Sources": [{"Kind": "charge", "Id": 7, "Amount": 5}], "BusinessId": ledger.business}
    for who, _, _ in people:
        held = await client.post("/api/ledger/holds", json={"CoworkerId": who, **charge})
        assert held.json()["WasSuccessful"]
    answers = await asyncio.gather(*(client.post(SPENDS, json={"CoworkerId": who, **charge}) for who, _, _ in people))
    assert [source_of(answer)["uncovered"] for answer in answers] == ["0.0000"] * 2
    for _, credit, _ in people:
        assert await ledger.remaining_money(credit) == money("25.00")


async def test_rule_32_concurrent_requests_with_one_key_make_one_spend(
    ledger: LedgerBuilder, client: httpx.AsyncClient
) -> None:
    [(ada, credit, booking)] = await add_visitors(ledger, 1, "100.00")
    body = basket_body(ada, booking)
    body["Sources"][0]["Amount"] = 5
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=body, headers=key) for _ in range(4)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert await ledger.remaining_money(credit) == money("95.00")
    body["Sources"][0]["Amount"] = 6
    assert (await client.post(SPENDS, json=body, headers=key)).status_code == 422


async def test_rule_32_a_preview_is_stored_only_with_a_key(
    ledger: LedgerBuilder,
    client: httpx.AsyncClient,
    counters: Counter[str],
) -> None:
    [(ada, credit, booking)] = await add_visitors(ledger, 1)
    counters.clear()
    body = basket_body(ada, booking)
    seen = await client.post(PREVIEWS, json=body)
    assert source_of(seen)["uncovered"] == "0.0000"
    assert counters["write_session"] == 0
    key = {"Idempotency-Key": "once"}
    first = await client.post(PREVIEWS, json=body, headers=key)
    await ledger.post_use(credit, "25.00")
    again = await client.post(PREVIEWS, json=body, headers=key)
    assert again.content == first.content
    assert source_of(await client.post(PREVIEWS, json=body))["uncovered"] == "15.0000"
    assert len(await ledger.find(StoredResponse)) == 1


async def test_concurrent_previews_share_a_session_and_fail_alone(
    ledger: LedgerBuilder, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_visitors(ledger, 4)
    counters.clear()
    answers = await asyncio.gather(
        *(client.post(PREVIEWS, json=basket_body(who, booking)) for who, _, booking in people),
        client.post(PREVIEWS, json=basket_body(people[0][0], people[1][2])),
    )
    assert [source_of(answer)["price"] for answer in answers[:4]] == ["20.0000"] * 4
    assert answers[4].status_code == 400
    assert counters["write_session"] == 0


async def test_loading_baskets_takes_a_constant_number_of_statements(
    ledger: LedgerBuilder, counters: Counter[str]
) -> None:
    people = await add_visitors(ledger, 6)
    for who, _, booking in people:
        await ledger.add_time_credit(CoworkerId=who)
        async with ledger.store.write_session() as session:
            await charge_bookings(session, [booking], ledger.request_context(), ledger.context)
    requests = [
        BasketRequest(Buyer(who), (ItemRequest(SourceKind.BOOKING, booking),), ledger.request_context())
        for who, _, booking in people
    ]
    counts = []
    for baskets in (requests[:1], requests):
        counters.clear()
        async with ledger.store.read_session() as session:
            read = await load_baskets(session, baskets)
        counts.append(counters["fetch"])
        assert [len(each.credits) for each in raise_first_error(read)] == [2] * len(baskets)
    # Queries of one step are one statement on PostgreSQL; SQLite runs them one by one.
    most = 13 if isinstance(ledger.store, SQLiteStore) else 3
    assert counts[0] == counts[1] <= most


async def test_rule_32_stored_responses_load_together_with_holds(
    ledger: LedgerBuilder, client: httpx.AsyncClient, counters: Counter[str]
) -> None:
    people = await add_visitors(ledger, 3)
    counts = []
    # The first request authenticates the caller.
    ways: list[dict[str, str]] = [{}, {}, {"Idempotency-Key": "k"}]
    for headers, (who, _, booking) in zip(ways, people, strict=True):
        counters.clear()
        answer = await client.post(SPENDS, json=basket_body(who, booking), headers=headers)
        assert source_of(answer)["uncovered"] == "0.0000"
        counts.append(counters["fetch"])
    # On PostgreSQL only the new id of the stored response, on SQLite only its look-up.
    assert counts[2] == counts[1] + 1


async def test_rule_23_bookings_in_one_charge_draw_in_order(ledger: LedgerBuilder) -> None:
    credit = await ledger.add_money_credit("30.00")
    other = await ledger.add_customer("Eve")
    mine = [await ledger.add_booking(hours=1) for _ in range(2)]
    hers = await ledger.add_booking(hours=1, CoworkerId=other)
    async with ledger.store.write_session() as session:
        charged = await charge_bookings(
            session, [*mine, hers], ledger.request_context(caller=ADMIN_PRINCIPAL), ledger.context
        )
        again = await charge_bookings(session, mine, ledger.request_context(), ledger.context)
    left = [each.allocation.sources[0].uncovered for each in charged if each.allocation]
    assert [each.booking_id for each in charged] == [*mine, hers]
    assert left == [0, money("10.00"), money("20.00")]
    assert [each.charge_id is not None for each in charged] == [False, True, True]
    assert await ledger.remaining_money(credit) == 0
    assert [each.allocation for each in again] == [None, None]
