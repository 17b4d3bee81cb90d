"""Holds reserve credit exactly once: lines 8, 9 and 10 of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from creditdesk.entities.ledger.hold import Hold
from creditdesk.schema.conversions import format_datetime
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    ApiClient,
    booking_item,
    charge_item,
    paid_parts,
    result_value,
    succeeded,
)

TOGETHER = 6


async def test_concurrent_releases_release_hold_once(api: ApiClient) -> None:
    """Line 8: a hold voided twice."""
    credit = await api.create_credit("40.00")
    group = await api.create_hold(booking_item(await api.create_booking(hours=1)))
    path = f"/api/ledger/holds/{group}/release"
    await asyncio.gather(*(api.post(path) for _ in range(TOGETHER)))
    assert succeeded(await api.post(path))
    seen = await api.get_balance(credit)
    assert (seen["Held"], seen["Available"]) == ("0.0000", "40.0000")
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == [
        "grant",
        "hold",
        "release",
    ]


async def test_concurrent_confirm_and_release_have_one_outcome(api: ApiClient) -> None:
    """Line 8: a hold voided while it is confirmed."""
    credit = await api.create_credit("40.00")
    group = await api.create_hold(booking_item(await api.create_booking(hours=1)))
    ways = ("confirm", "release") * 3
    answers = await asyncio.gather(*(api.post(f"/api/ledger/holds/{group}/{w}") for w in ways))
    confirmed = {succeeded(a) for a, way in zip(answers, ways, strict=True) if way == "confirm"}
    used = 20 if any(confirmed) else 0
    seen = await api.get_balance(credit)
    assert (await api.remaining(credit), seen["Held"]) == (40 - used, "0.0000")
    assert len(await api.list_journal_lines(credit)) == (4 if used else 3)


async def test_partly_paid_hold_cannot_be_released(api: ApiClient) -> None:
    """Line 8: a hold voided after part of it was confirmed."""
    credit = await api.create_credit("40.00")
    booking = await api.create_booking(hours=2)
    group = await api.create_hold(booking_item(booking))
    assert paid_parts(result_value(await api.spend(booking_item(booking, Amount=15)))["Allocation"]["sources"][0])
    assert not succeeded(await api.post(f"/api/ledger/holds/{group}/release"))
    assert not succeeded(await api.post(f"/api/ledger/holds/{group}/release"))
    seen = await api.get_balance(credit)
    assert (seen["Remaining"], seen["Held"], seen["Available"]) == ("25.0000", "0.0000", "25.0000")


async def test_repeated_hold_reserves_once(api: ApiClient) -> None:
    """Line 1, for holds: a second hold of one booking would pay it a second time."""
    credit = await api.create_credit("90.00")
    source = booking_item(await api.create_booking(hours=1))
    requests = (api.post("/api/ledger/holds", api.basket_body(source)) for _ in range(TOGETHER))
    groups = [result_value(a)["HoldId"] for a in await asyncio.gather(*requests) if succeeded(a)]
    assert sum(group is not None for group in groups) == 1
    for group in groups:
        if group is not None:
            result_value(await api.post(f"/api/ledger/holds/{group}/confirm"))
    assert paid_parts(result_value(await api.spend(source))["Allocation"]["sources"][0]) == []
    assert await api.remaining(credit) == 70


async def test_booking_time_is_held_once(api: ApiClient) -> None:
    """Line 1, for holds of time."""
    time = await api.create_time_credit(300)
    source = booking_item(await api.create_booking(hours=1))
    assert await api.create_hold(source) is not None
    assert await api.create_hold(source) is None
    assert (await api.get_balance(time, "time"))["Available"] == 240


async def test_cancel_during_hold_confirmation_costs_nothing(api: ApiClient) -> None:
    """Line 8, when the booking is cancelled while its hold is confirmed."""
    credit = await api.create_credit("60.00")
    for _ in range(3):
        booking = await api.create_booking(hours=1)
        group = await api.create_hold(booking_item(booking))
        answers = await asyncio.gather(
            api.post(f"/api/ledger/holds/{group}/confirm"),
            api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking]),
            api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]),
        )
        assert all(a.status_code < 500 for a in answers)
        await api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking])
        assert (await api.get_balance(credit))["Available"] == "60.0000"


async def test_concurrent_spend_and_release_keep_other_holds(api: ApiClient) -> None:
    """Line 8: the release of one hold and the spend on it free another hold's credit."""
    for ways in ("srcs", "rscr", "csrs"):
        credit = await api.create_credit("60.00")
        bookings = [await api.create_booking(hours=1) for _ in range(2)]
        spent, kept = [await api.create_hold(booking_item(each)) for each in bookings]
        path = f"/api/ledger/holds/{spent}/"
        acts: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "s": partial(api.spend, booking_item(bookings[0])),
            "r": partial(api.post, path + "release"),
            "c": partial(api.post, path + "confirm"),
        }
        answers = await asyncio.gather(*(acts[way]() for way in ways))
        assert {a.status_code for a in answers} <= {200, 409}
        assert (await api.get_balance(credit))["Held"] == "20.0000"
        result_value(await api.spend(booking_item(bookings[0])))
        assert await api.remaining(credit) == 40
        result_value(await api.post(f"/api/ledger/holds/{kept}/release"))
        result_value(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))


async def test_held_credit_is_not_available(api: ApiClient) -> None:
    """Line 9: holds not counted in what is available."""
    credit = await api.create_credit("50.00", IsUniversalCredit=True)
    await api.create_hold(booking_item(await api.create_booking(hours=2)))
    assert (await api.post_use(credit, "10.01")).status_code == 400
    (other,) = await api.preview(charge_item(1, 30))
    assert (paid_parts(other), other["uncovered"]) == ([(f"money/{credit}", "10.0000")], "20.0000")
    assert await api.create_hold(charge_item(2, 10)) is not None
    assert await api.create_hold(charge_item(3, 10)) is None
    body = {"Kind": "money", "Id": credit, "Amount": -1, "Reason": "slip"}
    assert (await api.post("/api/ledger/adjustments", body)).status_code == 400
    (voided,) = result_value(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))
    assert (voided["Removed"], voided["Held"]) == ("0.0000", "50.0000")
    assert await api.remaining(credit) == 50


async def test_concurrent_holds_never_exceed_balance(api: ApiClient) -> None:
    """Line 9, for concurrent holds."""
    credit = await api.create_credit("50.00", IsUniversalCredit=True)
    groups = await asyncio.gather(
        *(api.post("/api/ledger/holds", api.basket_body(charge_item(n, 20))) for n in range(10, 16))
    )
    held = [result_value(a)["HoldId"] for a in groups if succeeded(a)]
    assert sum(group is not None for group in held) == 3
    assert (await api.get_balance(credit))["Available"] == "0.0000"


async def test_held_credit_expires_on_schedule(api: ApiClient) -> None:
    """Line 10: releasing a hold turns expiring credit into permanent credit."""
    until = api.timestamp(days=2)
    credit = await api.create_credit("40.00", ExpireDate=until)
    group = await api.create_hold(booking_item(await api.create_booking(hours=1)))
    result_value(await api.post(f"/api/ledger/holds/{group}/release"))
    named = {"CoworkerBookingCredit_Coworker": api.ledger.customer}
    assert [(c["Id"], c["ExpireDate"]) for c in await api.list_records(CREDITS, **named)] == [(credit, until)]
    api.clock.advance(days=3)
    assert (await api.get_balance(credit))["Available"] == "0.0000"


async def test_rule_26_until_must_lie_ahead(api: ApiClient) -> None:
    credit = await api.create_credit("40.00")
    source = booking_item(await api.create_booking(hours=1))
    for until in (api.timestamp(seconds=-1), api.timestamp(days=-1)):
        answer = await api.post("/api/ledger/holds", {**api.basket_body(source), "Until": until})
        assert answer.status_code == 400
        assert "must lie ahead" in answer.text
    assert (await api.get_balance(credit))["Held"] == "0.0000"


async def hold_for_an_hour(api: ApiClient, source: dict[str, Any]) -> int:
    body = {**api.basket_body(source), "Until": api.timestamp(hours=1)}
    group = result_value(await api.post("/api/ledger/holds", body))["HoldId"]
    return int(group)


async def test_rule_26_a_hold_ends_by_itself(api: ApiClient) -> None:
    """No job has run: what was held is available, spendable, and written as released."""
    credit = await api.create_credit("40.00", IsUniversalCredit=True)
    time = await api.create_time_credit(30)
    booking = await api.create_booking(hours=2)
    group = await hold_for_an_hour(api, booking_item(booking))
    assert (await api.get_balance(credit))["Available"] == "10.0000"
    assert (await api.get_balance(time, "time"))["Available"] == 0
    api.clock.advance(hours=2)
    seen = await api.get_balance(credit)
    assert (seen["Held"], seen["Available"]) == ("0.0000", "40.0000")
    assert (await api.get_balance(time, "time"))["Available"] == 30
    (shown,) = await api.preview(charge_item(1, 40))
    assert shown["uncovered"] == "0.0000"
    assert (await api.post_use(credit, "1.00")).status_code == 200
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == [
        "grant",
        "hold",
        "release",
        "use",
    ]
    result_value(await api.spend(charge_item(2, 39)))
    assert await api.remaining(credit) == 0
    assert not succeeded(await api.post(f"/api/ledger/holds/{group}/confirm"))
    assert await api.verify_problems() == []


async def test_rule_26_an_ended_hold_counts_for_nothing_of_its_own_booking(api: ApiClient) -> None:
    credit = await api.create_credit("40.00")
    sooner = await api.create_booking(hours=1)
    await hold_for_an_hour(api, booking_item(sooner))
    api.clock.advance(hours=2)
    again = await hold_for_an_hour(api, booking_item(sooner))
    assert again is not None
    api.clock.advance(hours=2)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [sooner]))
    assert await api.remaining(credit) == 20
    assert (await api.get_balance(credit))["Held"] == "0.0000"
    result_value(await api.run_command(BOOKINGS, "CANCEL_BOOKING", [sooner]))
    result_value(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))
    assert await api.verify_problems() == []


async def test_rule_26_what_is_refused_or_only_shown_writes_no_release(api: ApiClient) -> None:
    """A hold that ended is released with the first entry on its credit, not by calls that change nothing."""
    credit = await api.create_credit("40.00")
    charged = await api.create_booking(hours=1)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [charged]))
    group = await hold_for_an_hour(api, booking_item(await api.create_booking(hours=1)))
    api.clock.advance(hours=2)
    lines = [line["Kind"] for line in await api.list_journal_lines(credit)]
    assert (await api.post_use(credit, "20.01")).status_code == 400
    result_value(await api.run_command(BOOKINGS, "RECALCULATE_BOOKING", [charged], Preview=True))
    body = {"Kind": "money", "Id": credit, "Amount": -21, "Reason": "slip"}
    assert (await api.post("/api/ledger/adjustments", body)).status_code == 400
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == lines
    assert [hold["State"] for hold in await api.ledger.find(Hold, Group=group)] == ["held"]
    assert (await api.post_use(credit, "20.00")).status_code == 200
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == [*lines, "release", "use"]
    assert [hold["State"] for hold in await api.ledger.find(Hold, Group=group)] == ["released"]
    assert await api.verify_problems() == []


async def test_rule_26_a_release_of_an_ended_hold_is_written_once(api: ApiClient) -> None:
    """Asked for by its group or with a cancellation, it is written as of when the hold ended."""
    credit = await api.create_credit("40.00")
    booking = await api.create_booking(hours=1)
    group = await hold_for_an_hour(api, booking_item(booking))
    other = await hold_for_an_hour(api, booking_item(await api.create_booking(hours=1)))
    ends = [format_datetime(hold["Until"]) for hold in await api.ledger.find(Hold, Group=(group, other))]
    api.clock.advance(hours=2)
    result_value(await api.post(f"/api/ledger/holds/{group}/release"))
    result_value(await api.post(f"/api/ledger/holds/{other}/release"))
    result_value(await api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking]))
    lines = await api.list_journal_lines(credit)
    assert [line["Kind"] for line in lines] == ["grant", "hold", "hold", "release", "release"]
    assert [line["EffectiveOn"] for line in lines[-2:]] == ends
    assert await api.verify_problems() == []
