"""Baskets that are asked for at the same moment: one transaction, and each answered for itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from creditdesk.entities.ledger.allocation_document import AllocationDocument
from creditdesk.entities.ledger.stored_response import StoredAnswer
from creditdesk.entities.spaces.booking import Booking
from creditdesk.ledger.batching import PUT_OFF
from creditdesk.ledger.idempotency import Answer
from creditdesk.ledger.loaders.sources import Asked, AskedBasket, Whose
from creditdesk.ledger.operations.basket_batch import BasketSpend, spend_baskets
from creditdesk.ledger.operations.baskets import read_baskets
from creditdesk.ledger.operations.bookings import charge_bookings
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.storage.postgresql import PostgreSQLReading
from creditdesk.storage.sqlite import SQLiteReading, SQLiteUnit
from tests.ledger.test_paths import client  # noqa: F401 - pytest finds the fixture by its name
from tests.ledger.town import ADMIN, Town, money

SPENDS = "/api/ledger/spends"
PREVIEWS = "/api/ledger/previews"


@pytest.fixture
def done(town: Town, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts looks, units and statements."""
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **named: Any) -> Any:
            counted[name] += 1
            return real(*args, **named)

        monkeypatch.setattr(owner, name, counting)

    count(town.store, "reading")
    count(town.store, "writing")
    for kind in (PostgreSQLReading, SQLiteReading, SQLiteUnit):
        count(kind, "fetch")
    return counted


async def visitors(town: Town, count: int, total: str = "30.00") -> list[tuple[int, int, int]]:
    """So many customers, each with a credit and a booking of an hour for 20.00."""
    made = []
    for number in range(count):
        customer = await town.add_customer(f"Visitor {number}")
        credit = await town.add_money(total, CoworkerId=customer)
        made.append((customer, credit, await town.add_booking(hours=1, CoworkerId=customer)))
    return made


def basket(customer: int, booking: int) -> dict[str, Any]:
    return {"CoworkerId": customer, "Sources": [{"Kind": "booking", "Id": booking}]}


def source_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.json()["WasSuccessful"], answer.text
    (source,) = answer.json()["Value"]["Allocation"]["sources"]
    return source


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
async def test_rule_31_a_booking_that_another_unit_holds_holds_up_its_own_spend_alone(town: Town):
    people = await visitors(town, 4)
    spends = [
        BasketSpend(
            AskedBasket(Whose(who), (Asked(SourceKind.BOOKING, booking),), town.call()),
            "print",
            lambda drawn: str(drawn.allocation.sources[0].uncovered).encode(),
        )
        for who, _, booking in people
    ]
    async with town.store.writing() as holder:
        await holder.lock(Booking, [people[2][2]])
        async with asyncio.timeout(5), town.store.writing() as unit:
            said = await spend_baskets(unit, spends, 1, town.desk)
        assert said == [Answer(200, b"0"), Answer(200, b"0"), PUT_OFF, Answer(200, b"0")]
        assert await left(town, people) == [money("10.00")] * 2 + [money("30.00"), money("10.00")]
    async with town.store.writing() as unit:
        assert await spend_baskets(unit, [spends[2]], 0, town.desk) == [Answer(200, b"0")]
    assert await left(town, people) == [money("10.00")] * 4


async def left(town: Town, people: list[tuple[int, int, int]]) -> list[int]:
    return [await town.money_left(credit) for _, credit, _ in people]


async def test_rule_31_spends_of_different_customers_share_a_transaction(town, client, done):  # noqa: F811
    people = await visitors(town, 8)
    done.clear()
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=basket(who, booking)) for who, _, booking in people)
    )
    assert [source_of(answer)["uncovered"] for answer in answers] == ["0.0000"] * 8
    assert done["writing"] < 8
    for _, credit, booking in people:
        assert await town.money_left(credit) == money("10.00")
        assert len(await town.rows(AllocationDocument, SourceId=booking)) == 1


async def test_rule_31_a_refused_basket_undoes_no_neighbour(town, client):  # noqa: F811
    (ada, credit, booking), (eve, _, _) = await visitors(town, 2)
    paid, refused, unknown = await asyncio.gather(
        client.post(SPENDS, json=basket(ada, booking)),
        client.post(SPENDS, json=basket(eve, booking)),
        client.post(SPENDS, json=basket(ada + 1000, booking)),
    )
    assert source_of(paid)["uncovered"] == "0.0000"
    assert (refused.status_code, unknown.status_code) == (400, 400)
    assert "is not of this customer" in refused.text
    assert unknown.json()["Errors"][0]["PropertyName"] == "Coworker"
    assert await town.money_left(credit) == money("10.00")


async def test_one_booking_that_is_asked_for_twice_at_once_is_paid_once(town, client):  # noqa: F811
    [(ada, credit, booking)] = await visitors(town, 1, "100.00")
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=basket(ada, booking)) for _ in range(5))
    )
    prices = [source_of(answer)["price"] for answer in answers]
    assert sorted(prices) == ["0.0000"] * 4 + ["20.0000"]
    assert await town.money_left(credit) == money("80.00")


async def test_holds_on_what_two_customers_name_alike_are_settled_once(town, client):  # noqa: F811
    people = await visitors(town, 2)
    for _, credit, _ in people:
        await town.change(credit, IsUniversalCredit=True)
    charge = {"Sources": [{"Kind": "charge", "Id": 7, "Amount": 5}], "BusinessId": town.business}
    for who, _, _ in people:
        held = await client.post("/api/ledger/holds", json={"CoworkerId": who, **charge})
        assert held.json()["WasSuccessful"]
    answers = await asyncio.gather(
        *(client.post(SPENDS, json={"CoworkerId": who, **charge}) for who, _, _ in people)
    )
    assert [source_of(answer)["uncovered"] for answer in answers] == ["0.0000"] * 2
    for _, credit, _ in people:
        assert await town.money_left(credit) == money("25.00")


async def test_rule_32_the_same_key_at_once_is_one_spend_and_one_answer(town, client):  # noqa: F811
    [(ada, credit, booking)] = await visitors(town, 1, "100.00")
    body = basket(ada, booking)
    body["Sources"][0]["Amount"] = 5
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(client.post(SPENDS, json=body, headers=key) for _ in range(4)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert await town.money_left(credit) == money("95.00")
    body["Sources"][0]["Amount"] = 6
    assert (await client.post(SPENDS, json=body, headers=key)).status_code == 422


async def test_rule_32_a_preview_without_a_key_writes_nothing_and_with_one_is_kept(
    town,
    client,  # noqa: F811
    done,
):
    [(ada, credit, booking)] = await visitors(town, 1)
    done.clear()
    body = basket(ada, booking)
    seen = await client.post(PREVIEWS, json=body)
    assert source_of(seen)["uncovered"] == "0.0000"
    assert done["writing"] == 0
    key = {"Idempotency-Key": "once"}
    first = await client.post(PREVIEWS, json=body, headers=key)
    await town.use(credit, "25.00")
    again = await client.post(PREVIEWS, json=body, headers=key)
    assert again.content == first.content
    assert source_of(await client.post(PREVIEWS, json=body))["uncovered"] == "15.0000"
    assert len(await town.rows(StoredAnswer)) == 1


async def test_previews_at_once_are_read_together_and_refused_alone(town, client, done):  # noqa: F811
    people = await visitors(town, 4)
    done.clear()
    answers = await asyncio.gather(
        *(client.post(PREVIEWS, json=basket(who, booking)) for who, _, booking in people),
        client.post(PREVIEWS, json=basket(people[0][0], people[1][2])),
    )
    assert [source_of(answer)["price"] for answer in answers[:4]] == ["20.0000"] * 4
    assert answers[4].status_code == 400
    assert done["writing"] == 0


async def test_many_baskets_are_read_in_as_few_exchanges_as_one(town, done):
    people = await visitors(town, 6)
    for who, _, booking in people:
        await town.add_time(CoworkerId=who)
        async with town.store.writing() as unit:
            await charge_bookings(unit, [booking], town.call(), town.desk)
    asked = [
        AskedBasket(Whose(who), (Asked(SourceKind.BOOKING, booking),), town.call())
        for who, _, booking in people
    ]
    counts = []
    for baskets in (asked[:1], asked):
        done.clear()
        async with town.store.reading() as reading:
            read = await read_baskets(reading, baskets)
        counts.append(done["fetch"])
        assert [len(each.credits) for each in read] == [2] * len(baskets)
    # What is asked at the same moment is one statement on PostgreSQL; SQLite has no way to go.
    most = {"sqlite": 13, "postgresql": 3}[town.store.statements.dialect.name]
    assert counts[0] == counts[1] <= most


async def test_rule_32_whether_a_key_was_answered_is_asked_beside_the_holds(town, client, done):  # noqa: F811
    people = await visitors(town, 3)
    counts = []
    # The first finds out who calls.
    ways: list[dict[str, str]] = [{}, {}, {"Idempotency-Key": "k"}]
    for headers, (who, _, booking) in zip(ways, people, strict=True):
        done.clear()
        answer = await client.post(SPENDS, json=basket(who, booking), headers=headers)
        assert source_of(answer)["uncovered"] == "0.0000"
        counts.append(done["fetch"])
    # On PostgreSQL only the fresh id for the answer that is kept, on SQLite only the look for one.
    assert counts[2] == counts[1] + 1


async def test_rule_23_bookings_charged_together_draw_one_after_another(town):
    credit = await town.add_money("30.00")
    other = await town.add_customer("Eve")
    mine = [await town.add_booking(hours=1) for _ in range(2)]
    hers = await town.add_booking(hours=1, CoworkerId=other)
    async with town.store.writing() as unit:
        charged = await charge_bookings(unit, [*mine, hers], town.call(caller=ADMIN), town.desk)
        again = await charge_bookings(unit, mine, town.call(), town.desk)
    left = [each.allocation.sources[0].uncovered for each in charged]
    assert [each.booking_id for each in charged] == [*mine, hers]
    assert left == [0, money("10.00"), money("20.00")]
    assert [each.charge_id is not None for each in charged] == [False, True, True]
    assert await town.money_left(credit) == 0
    assert [each.allocation for each in again] == [None, None]
