"""Concurrent requests end like some serial order of them (rules 31 and 32).

Requests go over HTTP, through one worker and through two with their own connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import permutations
from typing import Any

import httpx
import pytest

from creditdesk.entities.spaces.team import Team
from creditdesk.schema.errors import Conflict
from tests.support.api_client import (
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    charge_item,
    created_id,
    result_value,
    succeeded,
)

CONCURRENT_SPENDS = 64
RETRIES = 12
CONFLICT_TIMEOUT_SECONDS = 10.0
"""How long a request is retried after conflicts."""


async def test_exactly_40_of_64_spends_succeed(api: ApiClient) -> None:
    credit = await api.create_credit("40.00")
    answers = await asyncio.gather(*(api.post_use(credit, "1.00") for _ in range(CONCURRENT_SPENDS)))
    await assert_forty_spent(api, credit, answers)


async def test_exactly_40_of_64_spends_succeed_over_two_workers(
    api: ApiClient, other_worker: httpx.AsyncClient
) -> None:
    credit = await api.create_credit("40.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}

    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await retry_conflicts(lambda: client.post(USES, json=body))

    clients = (api.http, other_worker) * (CONCURRENT_SPENDS // 2)
    answers = await asyncio.gather(*(one(client) for client in clients))
    await assert_forty_spent(api, credit, answers)


async def test_exactly_40_of_64_baskets_are_covered(api: ApiClient) -> None:
    credit = await api.create_credit("40.00", IsUniversalCredit=True)
    answers = await asyncio.gather(
        *(retry_conflicts(partial(api.spend, charge_item(n, 1))) for n in range(1, CONCURRENT_SPENDS + 1))
    )
    covered = [result_value(a)["Allocation"]["sources"][0]["uncovered"] for a in answers]
    assert sorted(covered) == ["0.0000"] * 40 + ["1.0000"] * 24
    assert await api.remaining(credit) == 0
    assert len(await api.list_uses(credit)) == 40


async def test_pool_cap_holds_over_two_workers(api: ApiClient, other_worker: httpx.AsyncClient) -> None:
    payer = await api.ledger.add_customer("Paula")
    team = await api.ledger.add(
        Team,
        Name="Cog",
        BusinessId=api.ledger.business,
        PayingMemberId=payer,
        ShareBookingCredit=True,
        TeamMembers=(payer, api.ledger.customer),
    )
    shared = {"CoworkerId": payer, "IsUniversalCredit": True}
    pool = [await api.create_credit("6.00", **shared), await api.create_credit("40.00", **shared)]
    body = {"TeamId": team, "CreditKind": "Money", "Period": "Year", "Amount": 10}
    created_id(await api.post("/api/ledger/poolcaps", body))
    clients = (api.http, other_worker) * (RETRIES // 2)
    answers = await asyncio.gather(
        *(
            retry_conflicts(partial(client.post, "/api/ledger/spends", json=api.basket_body(charge_item(n, 3))))
            for n, client in enumerate(clients, 1)
        )
    )
    open_ = sum(Decimal(result_value(a)["Allocation"]["sources"][0]["uncovered"]) for a in answers)
    assert open_ == 3 * RETRIES - 10
    assert [await api.remaining(credit) for credit in pool] == [0, 36]


async def assert_forty_spent(api: ApiClient, credit: int, answers: list[httpx.Response]) -> None:
    assert sum(succeeded(a) for a in answers) == 40
    assert {a.status_code for a in answers} == {200, 400}
    assert await api.remaining(credit) == 0
    assert [row["CreditUsed"] for row in await api.list_uses(credit)] == [1] * 40
    lines = await api.list_journal_lines(credit)
    assert [line["BalanceAfter"] for line in lines] == [Decimal(40 - n) for n in range(41)]


@pytest.mark.parametrize("act", ["use", "spend", "top-up", "adjustment", "void", "reversal"])
async def test_concurrent_retries_have_one_effect_and_equal_responses(
    api: ApiClient, other_worker: httpx.AsyncClient, act: str
) -> None:
    credit = await api.create_credit("40.00")
    use = created_id(await api.post_use(credit, "4.00"))
    path, body = {
        "use": (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1}),
        "spend": (
            "/api/ledger/spends",
            api.basket_body(booking_item(await api.create_booking(hours=0.5))),
        ),
        "top-up": (CREDITS, api.credit_body("5.00")),
        "adjustment": (
            "/api/ledger/adjustments",
            {"Kind": "money", "Id": credit, "Amount": 2, "Reason": "count"},
        ),
        "void": (f"{CREDITS}/runcommand", {"Key": "VOID_CREDIT", "Ids": [credit]}),
        "reversal": (
            f"{USES}/runcommand",
            {
                "Key": "REVERSE_USE",
                "Ids": [use],
                "Parameters": [{"Name": "Amount", "Type": "string", "Value": 1}],
            },
        ),
    }[act]
    headers = {"Idempotency-Key": f"{act} of {api.ledger.customer}"}

    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await retry_conflicts(lambda: client.post(path, json=body, headers=headers))

    clients = (api.http, other_worker) * (RETRIES // 2)
    answers = await asyncio.gather(*(one(client) for client in clients))
    assert all(succeeded(a) for a in answers)
    assert len({a.content for a in answers}) == 1
    named = {"JournalLine_Coworker": api.ledger.customer}
    lines = await api.list_records("/api/ledger/entries", **named)
    assert sum(line["IdempotencyKey"] == headers["Idempotency-Key"] for line in lines) == 1


@dataclass(frozen=True)
class Outcome:
    """The final state of a credit of 10.00, of which 4.00 were used before."""

    remaining: int = 6
    total: int = 10
    spent: bool = False
    expired: int | None = None


def spend(end: Outcome) -> Outcome:
    return replace(end, remaining=end.remaining - 5, spent=True) if end.remaining >= 5 else end


def reverse(end: Outcome) -> Outcome:
    return replace(end, remaining=end.remaining + 4)


def void(end: Outcome) -> Outcome:
    return replace(end, remaining=0, total=end.total - end.remaining)


def expire(end: Outcome) -> Outcome:
    return replace(end, expired=end.remaining) if end.remaining else end


def serial_outcomes() -> set[Outcome]:
    ends = set()
    for order in permutations((spend, reverse, void, expire)):
        end = Outcome()
        for step in order:
            end = step(end)
        ends.add(end)
    return ends


@pytest.mark.parametrize("turn", range(4))
async def test_concurrent_operations_end_like_a_serial_order(
    api: ApiClient, other_worker: httpx.AsyncClient, turn: int
) -> None:
    credit = await api.create_credit("10.00", ExpireDate=api.timestamp(minutes=5))
    use = created_id(await api.post_use(credit, "4.00"))
    api.clock.advance(minutes=10)
    api.ledger.now = api.clock()
    other = replace(api, http=other_worker)
    operations: list[Callable[[], Awaitable[Any]]] = [
        lambda: retry_conflicts(lambda: other.post_use(credit, "5.00")),
        lambda: retry_conflicts(lambda: api.run_command(USES, "REVERSE_USE", [use])),
        lambda: retry_conflicts(lambda: other.run_command(CREDITS, "VOID_CREDIT", [credit])),
        lambda: expire_with_retry(api),
    ]
    operations = operations[turn:] + operations[:turn]
    await asyncio.gather(*(act() for act in operations))
    lines = await api.list_journal_lines(credit)
    kinds = [line["Kind"] for line in lines]
    shown = await api.get(f"{CREDITS}/{credit}")
    end = Outcome(
        shown["RemainingCredit"],
        shown["TotalCredit"],
        kinds.count("use") == 2,
        next((int(line["Amount"]) for line in lines if line["Kind"] == "expiry"), None),
    )
    assert end in serial_outcomes()
    assert kinds.count("reversal") == 1


async def test_rule_31_opposite_lock_orders_do_not_deadlock(api: ApiClient, other_worker: httpx.AsyncClient) -> None:
    """Credits are locked in one order, whatever order a request names them in (rule 31)."""
    credits_ = [await api.create_credit("30.00") for _ in range(2)]
    uses = [created_id(await api.post_use(credit, "10.00")) for credit in credits_]
    source = booking_item(await api.create_booking(hours=2))
    other = replace(api, http=other_worker)
    turns = [(api, uses), (other, uses[::-1])] * 4
    answers = await asyncio.gather(
        *(retry_conflicts(partial(worker.run_command, USES, "REVERSE_USE", ids)) for worker, ids in turns),
        retry_conflicts(lambda: other.spend(source)),
    )
    assert all(succeeded(a) for a in answers)
    assert result_value(answers[-1])["Allocation"]["sources"][0]["uncovered"] == "0.0000"
    assert sum([await api.remaining(credit) for credit in credits_]) == 20


async def test_concurrent_spend_and_delete_exclude_each_other(api: ApiClient, other_worker: httpx.AsyncClient) -> None:
    for _ in range(4):
        credit = await api.create_credit("1.00")
        path = f"{CREDITS}/{credit}"
        spent, deleted = await asyncio.gather(
            retry_conflicts(partial(api.post_use, credit, "1.00")),
            retry_conflicts(partial(other_worker.delete, path)),
        )
        assert succeeded(spent) != succeeded(deleted)
        found = await api.http.get(path)
        assert found.status_code == (200 if succeeded(spent) else 404)


async def retry_conflicts(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Retries a request while it conflicts with another."""
    until = time.monotonic() + CONFLICT_TIMEOUT_SECONDS
    while (answer := await call()).status_code == 409 and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return answer


async def expire_with_retry(api: ApiClient) -> None:
    until = time.monotonic() + CONFLICT_TIMEOUT_SECONDS
    while time.monotonic() < until:
        try:
            await api.expire_credits()
        except Conflict:
            await asyncio.sleep(0.01)
        else:
            return
