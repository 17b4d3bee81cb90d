"""Repeated requests take effect once: lines 1, 2, 4, 5, 6 and 27 of the catalogue."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import httpx

from creditdesk.app import build_app
from creditdesk.settings import LedgerSettings, Settings
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    charge_item,
    created_id,
    parse_body,
    result_value,
    succeeded,
)
from tests.support.users import http_client

TOGETHER = 8


async def test_concurrent_spends_pay_booking_once(api: ApiClient) -> None:
    """Line 1: two settlements of one purchase in parallel both count."""
    credit = await api.create_credit("100.00")
    source = booking_item(await api.create_booking(hours=1))
    answers = await asyncio.gather(*(api.spend(source) for _ in range(TOGETHER)))
    paid = [parts for a in answers if succeeded(a) for parts in result_value(a)["Allocation"]["sources"]]
    assert {a.status_code for a in answers} <= {200, 409}
    assert min(source["uncovered"] for source in paid) == "0.0000"
    assert await api.remaining(credit) == 80
    assert [row["CreditUsed"] for row in await api.list_uses(credit)] == [20]


async def test_concurrent_charges_charge_booking_once(api: ApiClient) -> None:
    """Line 1, by the action: time first, then money, then one charge for the rest."""
    time, money = await api.create_time_credit(30), await api.create_credit("5.00")
    booking = await api.create_booking(hours=1)
    answers = await asyncio.gather(*(api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]) for _ in range(TOGETHER)))
    assert sum(not result_value(a)[0]["AlreadyCharged"] for a in answers if succeeded(a)) == 1
    assert await api.remaining(money) == 0
    assert (await api.get_balance(time, "time"))["Remaining"] == 0
    named = {"CoworkerExtraService_Coworker": api.ledger.customer}
    rest = await api.list_records("/api/billing/coworkerextraservices", **named)
    assert [row["Price"] for row in rest if row["Id"] != time] == [5]


async def test_concurrent_spends_pay_invoice_line_once(api: ApiClient) -> None:
    """Line 1, for a line of an invoice."""
    credit = await api.create_credit("100.00", IsUniversalCredit=True)
    line = await api.create_invoice_line("30.00")
    source = {"Kind": "invoice_line", "Id": line}
    await asyncio.gather(*(api.spend(source) for _ in range(TOGETHER)))
    assert await api.remaining(credit) == 70


async def test_retried_top_up_is_granted_once(api: ApiClient) -> None:
    """Line 2: the same top-up applied twice."""
    body = api.credit_body("25.00", Description="top-up")
    answers = await asyncio.gather(
        *(api.post_with_retry(CREDITS, body, f"top-up-{api.ledger.customer}") for _ in range(6))
    )
    assert len({a.content for a in answers}) == 1
    named = {"CoworkerBookingCredit_Coworker": api.ledger.customer}
    assert [row["Id"] for row in await api.list_records(CREDITS, **named)] == [created_id(answers[0])]
    assert [line["Kind"] for line in await api.list_journal_lines(created_id(answers[0]))] == ["grant"]


async def test_failed_request_does_not_consume_idempotency_key(api: ApiClient) -> None:
    """Line 4: an idempotency key burned by a failed call."""
    credit, key = await api.create_credit("10.00"), f"refused-{api.ledger.customer}"
    assert (await api.post_use(credit, "15.00", key)).status_code == 400
    wanted = {"Kind": "money", "Id": credit, "Amount": 5, "Reason": "topped up"}
    assert succeeded(await api.post("/api/ledger/adjustments", wanted))
    assert succeeded(await api.post_use(credit, "15.00", key))
    assert await api.remaining(credit) == 0


async def test_idempotency_key_of_failed_spend_or_command_is_reusable(api: ApiClient) -> None:
    """Line 4, on the other paths: after an error the key accepts any body."""
    credit, key = await api.create_credit("10.00"), f"other-{api.ledger.customer}"
    assert (await api.spend(charge_item(1, -5), key=key)).status_code == 400
    assert (await api.run_command(CREDITS, "ADJUST_CREDIT", [credit], key, Amount=1)).status_code == 400
    assert succeeded(await api.run_command(CREDITS, "ADJUST_CREDIT", [credit], key, Amount=-1, Reason="slip"))
    assert await api.remaining(credit) == 9


async def test_retry_across_expiry_returns_first_response(api: ApiClient) -> None:
    """Line 5: a retry that crosses an expiry moment spends again or fails."""
    credit = await api.create_credit("10.00", ExpireDate=api.timestamp(minutes=30), IsUniversalCredit=True)
    use, paid = f"use-{api.ledger.customer}", f"paid-{api.ledger.customer}"
    source = charge_item(5, 3)
    body = {"CoworkerBookingCreditId": credit, "CreditUsed": 4}
    first = await api.post(USES, body, use), await api.spend(source, key=paid)
    assert all(succeeded(a) for a in first)
    api.clock.advance(hours=1)
    await api.expire_credits()
    again = await api.post(USES, body, use), await api.spend(source, key=paid)
    assert [a.content for a in again] == [a.content for a in first]
    assert await api.remaining(credit) == 3


async def test_retry_after_expiry_is_answered_while_new_posts_fail(api: ApiClient, client: httpx.AsyncClient) -> None:
    """Line 5, where posts outside the validity period fail."""
    strict = Settings(ledger=LedgerSettings(strict_posts=True))
    app = build_app(api.ledger.store, strict, api.clock)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    async with http_client(app, token) as opened:
        api.http = opened
        credit = await api.create_credit("10.00", ExpireDate=api.timestamp(minutes=30))
        key = f"strict-{api.ledger.customer}"
        first = await api.post_use(credit, "4", key)
        api.clock.advance(hours=1)
        assert (await api.post_use(credit, "4", key)).content == first.content
        assert (await api.post_use(credit, "4", key + "!")).status_code == 400
        assert await api.remaining(credit) == 6
    api.http = client


async def test_ids_are_unique_under_load(api: ApiClient) -> None:
    """Line 6: duplicate numbers under load."""
    credit = await api.create_credit("40.00")
    answers = await asyncio.gather(
        *(api.post_use(credit, "1.00") for _ in range(24)),
        *(api.create_credit("1.00") for _ in range(8)),
    )
    uses = [result_value(a) for a in answers if isinstance(a, httpx.Response)]
    credits_ = [a for a in answers if isinstance(a, int)]
    assert len({use["Id"] for use in uses}) == len({use["UniqueId"] for use in uses}) == 24
    assert len({*credits_, credit}) == 9
    lines = await api.list_journal_lines(credit)
    assert [line["Sequence"] for line in lines] == list(range(1, 26))
    before = sorted(use["CoworkerBookingCreditRemainingCredit"] for use in uses)
    assert before == [Decimal(n) for n in range(17, 41)]


async def test_double_cancel_cancels_once(api: ApiClient) -> None:
    """Line 27: a double click cancels twice."""
    credit = await api.create_credit("50.00")
    booking = await api.create_booking(hours=2)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    assert await api.remaining(credit) == 10
    answers = await asyncio.gather(*(api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking]) for _ in range(TOGETHER)))
    back = [each for a in answers if succeeded(a) for each in parse_body(a)["Value"][0]["Returned"]]
    assert [each["Amount"] for each in back] == ["40.0000"]
    assert await api.remaining(credit) == 50
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == [
        "grant",
        "use",
        "reversal",
    ]
