"""Many at once end as some of them would have ended one after another (rules 31 and 32).

Everything goes over HTTP, through one worker and through two with connections of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import permutations
from typing import Any

import httpx
import pytest

from creditdesk.entities.spaces.team import Team
from creditdesk.schema.errors import Conflict
from tests.regression.desk import (
    CREDITS,
    USES,
    Desk,
    booking_of,
    charge_of,
    done,
    made,
    succeeded,
)

SPENDS = 64
RETRIES = 12
PATIENCE_SECONDS = 10.0
"""For how long a call is put again when it is told that another came first."""


async def test_of_64_spends_of_1_from_40_exactly_40_succeed(desk: Desk):
    credit = await desk.credit("40.00")
    answers = await asyncio.gather(*(desk.use(credit, "1.00") for _ in range(SPENDS)))
    await forty_were_spent(desk, credit, answers)


async def test_of_64_spends_through_two_workers_exactly_40_succeed(
    desk: Desk, other_worker: httpx.AsyncClient
):
    credit = await desk.credit("40.00")
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 1}

    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await told(lambda: client.post(USES, json=body))

    clients = (desk.client, other_worker) * (SPENDS // 2)
    answers = await asyncio.gather(*(one(client) for client in clients))
    await forty_were_spent(desk, credit, answers)


async def test_of_64_baskets_of_1_from_40_exactly_40_are_covered(desk: Desk):
    credit = await desk.credit("40.00", IsUniversalCredit=True)
    answers = await asyncio.gather(
        *(told(lambda n=n: desk.spend(charge_of(n, 1))) for n in range(1, SPENDS + 1))
    )
    covered = [done(a)["Allocation"]["sources"][0]["uncovered"] for a in answers]
    assert sorted(covered) == ["0.0000"] * 40 + ["1.0000"] * 24
    assert await desk.left(credit) == 0
    assert len(await desk.uses(credit)) == 40


async def test_baskets_of_one_member_through_two_workers_never_pass_its_cap(
    desk: Desk, other_worker: httpx.AsyncClient
):
    payer = await desk.town.add_customer("Paula")
    team = await desk.town.add(
        Team,
        Name="Cog",
        BusinessId=desk.town.business,
        PayingMemberId=payer,
        ShareBookingCredit=True,
        TeamMembers=(payer, desk.town.customer),
    )
    shared = {"CoworkerId": payer, "IsUniversalCredit": True}
    pool = [await desk.credit("6.00", **shared), await desk.credit("40.00", **shared)]
    body = {"TeamId": team, "CreditKind": "Money", "Period": "Year", "Amount": 10}
    made(await desk.post("/api/ledger/poolcaps", body))
    clients = (desk.client, other_worker) * (RETRIES // 2)
    answers = await asyncio.gather(
        *(
            told(
                lambda client=client, n=n: client.post(
                    "/api/ledger/spends", json=desk.basket(charge_of(n, 3))
                )
            )
            for n, client in enumerate(clients, 1)
        )
    )
    open_ = sum(Decimal(done(a)["Allocation"]["sources"][0]["uncovered"]) for a in answers)
    assert open_ == 3 * RETRIES - 10
    assert [await desk.left(credit) for credit in pool] == [0, 36]


async def forty_were_spent(desk: Desk, credit: int, answers: list[httpx.Response]) -> None:
    assert sum(succeeded(a) for a in answers) == 40
    assert {a.status_code for a in answers} == {200, 400}
    assert await desk.left(credit) == 0
    assert [row["CreditUsed"] for row in await desk.uses(credit)] == [1] * 40
    lines = await desk.lines(credit)
    assert [line["BalanceAfter"] for line in lines] == [Decimal(40 - n) for n in range(41)]


@pytest.mark.parametrize("act", ["use", "spend", "top-up", "adjustment", "void", "reversal"])
async def test_identical_retries_at_once_have_one_effect_and_equal_answers(
    desk: Desk, other_worker: httpx.AsyncClient, act: str
):
    credit = await desk.credit("40.00")
    use = made(await desk.use(credit, "4.00"))
    path, body = {
        "use": (USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1}),
        "spend": ("/api/ledger/spends", desk.basket(booking_of(await desk.booking(hours=0.5)))),
        "top-up": (CREDITS, desk.credit_body("5.00")),
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
    headers = {"Idempotency-Key": f"{act} of {desk.town.customer}"}

    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await told(lambda: client.post(path, json=body, headers=headers))

    clients = (desk.client, other_worker) * (RETRIES // 2)
    answers = await asyncio.gather(*(one(client) for client in clients))
    assert all(succeeded(a) for a in answers)
    assert len({a.content for a in answers}) == 1
    named = {"JournalLine_Coworker": desk.town.customer}
    lines = await desk.rows("/api/ledger/entries", **named)
    assert sum(line["IdempotencyKey"] == headers["Idempotency-Key"] for line in lines) == 1


@dataclass(frozen=True)
class End:
    """How a credit of 10.00 ends, of which 4.00 were used before."""

    remaining: int = 6
    total: int = 10
    spent: bool = False
    lapsed: int | None = None


def spend(end: End) -> End:
    return replace(end, remaining=end.remaining - 5, spent=True) if end.remaining >= 5 else end


def reverse(end: End) -> End:
    return replace(end, remaining=end.remaining + 4)


def void(end: End) -> End:
    return replace(end, remaining=0, total=end.total - end.remaining)


def lapse(end: End) -> End:
    return replace(end, lapsed=end.remaining) if end.remaining else end


def serial_ends() -> set[End]:
    ends = set()
    for order in permutations((spend, reverse, void, lapse)):
        end = End()
        for step in order:
            end = step(end)
        ends.add(end)
    return ends


@pytest.mark.parametrize("turn", range(4))
async def test_reversal_void_expiry_and_spend_at_once_end_as_one_after_another(
    desk: Desk, other_worker: httpx.AsyncClient, turn: int
):
    credit = await desk.credit("10.00", ExpireDate=desk.at(minutes=5))
    use = made(await desk.use(credit, "4.00"))
    desk.clock.move(minutes=10)
    desk.town.now = desk.clock()
    other = replace(desk, client=other_worker)
    acts: list[Callable[[], Awaitable[Any]]] = [
        lambda: told(lambda: other.use(credit, "5.00")),
        lambda: told(lambda: desk.run(USES, "REVERSE_USE", [use])),
        lambda: told(lambda: other.run(CREDITS, "VOID_CREDIT", [credit])),
        lambda: swept(desk),
    ]
    acts = acts[turn:] + acts[:turn]
    await asyncio.gather(*(act() for act in acts))
    lines = await desk.lines(credit)
    kinds = [line["Kind"] for line in lines]
    shown = await desk.get(f"{CREDITS}/{credit}")
    end = End(
        shown["RemainingCredit"],
        shown["TotalCredit"],
        kinds.count("use") == 2,
        next((int(line["Amount"]) for line in lines if line["Kind"] == "expiry"), None),
    )
    assert end in serial_ends()
    assert kinds.count("reversal") == 1


async def test_whoever_names_credits_in_another_order_waits_and_none_is_stuck(
    desk: Desk, other_worker: httpx.AsyncClient
):
    """Credits are locked in one order, whatever the order they are named in (rule 31)."""
    credits_ = [await desk.credit("30.00") for _ in range(2)]
    uses = [made(await desk.use(credit, "10.00")) for credit in credits_]
    source = booking_of(await desk.booking(hours=2))
    other = replace(desk, client=other_worker)
    turns = [(desk, uses), (other, uses[::-1])] * 4
    answers = await asyncio.gather(
        *(told(lambda d=d, ids=ids: d.run(USES, "REVERSE_USE", ids)) for d, ids in turns),
        told(lambda: other.spend(source)),
    )
    assert all(succeeded(a) for a in answers)
    assert done(answers[-1])["Allocation"]["sources"][0]["uncovered"] == "0.0000"
    assert sum([await desk.left(credit) for credit in credits_]) == 20


async def test_a_credit_is_spent_or_deleted_never_both(desk: Desk, other_worker: httpx.AsyncClient):
    for _ in range(4):
        credit = await desk.credit("1.00")
        path = f"{CREDITS}/{credit}"
        spent, deleted = await asyncio.gather(
            told(lambda c=credit: desk.use(c, "1.00")), told(lambda p=path: other_worker.delete(p))
        )
        assert succeeded(spent) != succeeded(deleted)
        found = await desk.client.get(path)
        assert found.status_code == (200 if succeeded(spent) else 404)


async def told(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Puts a call again as long as it is told that another came first."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (answer := await call()).status_code == 409 and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return answer


async def swept(desk: Desk) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            await desk.sweep()
        except Conflict:
            await asyncio.sleep(0.01)
        else:
            return
