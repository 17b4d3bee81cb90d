"""The same thing asked for twice happens once: lines 1, 2, 4, 5, 6 and 27 of the catalogue."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import httpx

from creditdesk.app import build_app
from creditdesk.ledger.rules.credit import LedgerPolicy
from creditdesk.settings import Settings
from tests.conftest import client_of
from tests.regression.desk import (
    BOOKINGS,
    CREDITS,
    USES,
    Desk,
    booking_of,
    charge_of,
    done,
    made,
    read,
    succeeded,
)

TOGETHER = 8


async def test_one_booking_settled_by_parallel_spends_is_paid_once(desk: Desk):
    """Line 1: two settlements of one purchase in parallel both count."""
    credit = await desk.credit("100.00")
    source = booking_of(await desk.booking(hours=1))
    answers = await asyncio.gather(*(desk.spend(source) for _ in range(TOGETHER)))
    paid = [parts for a in answers if succeeded(a) for parts in done(a)["Allocation"]["sources"]]
    assert {a.status_code for a in answers} <= {200, 409}
    assert sorted(source["uncovered"] for source in paid)[0] == "0.0000"
    assert await desk.left(credit) == 80
    assert [row["CreditUsed"] for row in await desk.uses(credit)] == [20]


async def test_one_booking_charged_in_parallel_is_charged_once(desk: Desk):
    """Line 1, by the command: time first, then money, then one charge for the rest."""
    time, money = await desk.time_credit(30), await desk.credit("5.00")
    booking = await desk.booking(hours=1)
    answers = await asyncio.gather(
        *(desk.run(BOOKINGS, "CHARGE_BOOKING", [booking]) for _ in range(TOGETHER))
    )
    assert sum(not done(a)[0]["AlreadyCharged"] for a in answers if succeeded(a)) == 1
    assert await desk.left(money) == 0
    assert (await desk.balance(time, "time"))["Remaining"] == 0
    named = {"CoworkerExtraService_Coworker": desk.town.customer}
    rest = await desk.rows("/api/billing/coworkerextraservices", **named)
    assert [row["Price"] for row in rest if row["Id"] != time] == [5]


async def test_one_invoice_line_settled_in_parallel_is_paid_once(desk: Desk):
    """Line 1, for a line of an invoice."""
    credit = await desk.credit("100.00", IsUniversalCredit=True)
    line = await desk.invoice_line("30.00")
    source = {"Kind": "invoice_line", "Id": line}
    await asyncio.gather(*(desk.spend(source) for _ in range(TOGETHER)))
    assert await desk.left(credit) == 70


async def test_a_top_up_sent_again_under_its_key_is_granted_once(desk: Desk):
    """Line 2: the same top-up applied twice."""
    body = desk.credit_body("25.00", Description="top-up")
    answers = await asyncio.gather(
        *(desk.post_until_told(CREDITS, body, f"top-up-{desk.town.customer}") for _ in range(6))
    )
    assert len({a.content for a in answers}) == 1
    named = {"CoworkerBookingCredit_Coworker": desk.town.customer}
    assert [row["Id"] for row in await desk.rows(CREDITS, **named)] == [made(answers[0])]
    assert [line["Kind"] for line in await desk.lines(made(answers[0]))] == ["grant"]


async def test_an_idempotency_key_is_not_burned_by_a_refused_call(desk: Desk):
    """Line 4: an idempotency key burned by a failed call."""
    credit, key = await desk.credit("10.00"), f"refused-{desk.town.customer}"
    assert (await desk.use(credit, "15.00", key)).status_code == 400
    wanted = {"Kind": "money", "Id": credit, "Amount": 5, "Reason": "topped up"}
    assert succeeded(await desk.post("/api/ledger/adjustments", wanted))
    assert succeeded(await desk.use(credit, "15.00", key))
    assert await desk.left(credit) == 0


async def test_a_key_refused_on_a_spend_and_a_command_can_be_used_again(desk: Desk):
    """Line 4, on the other paths: after a refusal the key takes any body."""
    credit, key = await desk.credit("10.00"), f"other-{desk.town.customer}"
    assert (await desk.spend(charge_of(1, -5), key=key)).status_code == 400
    assert (await desk.run(CREDITS, "ADJUST_CREDIT", [credit], key, Amount=1)).status_code == 400
    assert succeeded(
        await desk.run(CREDITS, "ADJUST_CREDIT", [credit], key, Amount=-1, Reason="slip")
    )
    assert await desk.left(credit) == 9


async def test_a_retry_that_crosses_the_expiry_gives_the_first_answer_again(desk: Desk):
    """Line 5: a retry that crosses an expiry moment spends again or fails."""
    credit = await desk.credit("10.00", ExpireDate=desk.at(minutes=30), IsUniversalCredit=True)
    use, paid = f"use-{desk.town.customer}", f"paid-{desk.town.customer}"
    source = charge_of(5, 3)
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 4}
    first = await desk.post(USES, body, use), await desk.spend(source, key=paid)
    assert all(succeeded(a) for a in first)
    desk.clock.move(hours=1)
    await desk.sweep()
    again = await desk.post(USES, body, use), await desk.spend(source, key=paid)
    assert [a.content for a in again] == [a.content for a in first]
    assert await desk.left(credit) == 3


async def test_a_retry_past_the_expiry_is_answered_though_new_posts_are_refused(
    desk: Desk, client: httpx.AsyncClient
):
    """Line 5, where posts outside the window are refused."""
    strict = Settings(ledger=LedgerPolicy(strict_posts=True))
    app = build_app(desk.town.store, strict, desk.clock)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    async with client_of(app, token) as opened:
        desk.client = opened
        credit = await desk.credit("10.00", ExpireDate=desk.at(minutes=30))
        key = f"strict-{desk.town.customer}"
        first = await desk.use(credit, "4", key)
        desk.clock.move(hours=1)
        assert (await desk.use(credit, "4", key)).content == first.content
        assert (await desk.use(credit, "4", key + "!")).status_code == 400
        assert await desk.left(credit) == 6
    desk.client = client


async def test_numbers_are_never_given_twice_under_load(desk: Desk):
    """Line 6: duplicate numbers under load."""
    credit = await desk.credit("40.00")
    answers = await asyncio.gather(
        *(desk.use(credit, "1.00") for _ in range(24)), *(desk.credit("1.00") for _ in range(8))
    )
    uses = [done(a) for a in answers if isinstance(a, httpx.Response)]
    credits_ = [a for a in answers if isinstance(a, int)]
    assert len({use["Id"] for use in uses}) == len({use["UniqueId"] for use in uses}) == 24
    assert len({*credits_, credit}) == 9
    lines = await desk.lines(credit)
    assert [line["Sequence"] for line in lines] == list(range(1, 26))
    before = sorted(use["CoworkerBookingCreditRemainingCredit"] for use in uses)
    assert before == [Decimal(n) for n in range(17, 41)]


async def test_a_double_click_cancels_once(desk: Desk):
    """Line 27: a double click cancels twice."""
    credit = await desk.credit("50.00")
    booking = await desk.booking(hours=2)
    done(await desk.run(BOOKINGS, "CHARGE_BOOKING", [booking]))
    assert await desk.left(credit) == 10
    answers = await asyncio.gather(
        *(desk.run(BOOKINGS, "CANCEL_BOOKING", [booking]) for _ in range(TOGETHER))
    )
    back = [each for a in answers if succeeded(a) for each in read(a)["Value"][0]["Returned"]]
    assert [each["Amount"] for each in back] == ["40.0000"]
    assert await desk.left(credit) == 50
    assert [line["Kind"] for line in await desk.lines(credit)] == ["grant", "use", "reversal"]
