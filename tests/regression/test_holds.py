"""What is reserved stays reserved, once: lines 8, 9 and 10 of the catalogue."""

from __future__ import annotations

import asyncio

from tests.regression.desk import (
    BOOKINGS,
    CREDITS,
    Desk,
    booking_of,
    charge_of,
    done,
    parts,
    succeeded,
)

TOGETHER = 6


async def test_a_hold_let_go_many_times_at_once_is_let_go_once(desk: Desk):
    """Line 8: a hold voided twice."""
    credit = await desk.credit("40.00")
    group = await desk.hold(booking_of(await desk.booking(hours=1)))
    path = f"/api/ledger/holds/{group}/release"
    await asyncio.gather(*(desk.post(path) for _ in range(TOGETHER)))
    assert succeeded(await desk.post(path))
    seen = await desk.balance(credit)
    assert (seen["Held"], seen["Available"]) == ("0.0000", "40.0000")
    assert [line["Kind"] for line in await desk.lines(credit)] == ["grant", "hold", "release"]


async def test_a_hold_confirmed_and_released_at_once_ends_one_way(desk: Desk):
    """Line 8: a hold voided while it is confirmed."""
    credit = await desk.credit("40.00")
    group = await desk.hold(booking_of(await desk.booking(hours=1)))
    ways = ("confirm", "release") * 3
    answers = await asyncio.gather(*(desk.post(f"/api/ledger/holds/{group}/{w}") for w in ways))
    confirmed = {succeeded(a) for a, way in zip(answers, ways, strict=True) if way == "confirm"}
    used = 20 if any(confirmed) else 0
    seen = await desk.balance(credit)
    assert (await desk.left(credit), seen["Held"]) == (40 - used, "0.0000")
    assert len(await desk.lines(credit)) == (4 if used else 3)


async def test_a_hold_of_which_a_part_was_paid_cannot_be_let_go_after(desk: Desk):
    """Line 8: a hold voided after part of it was confirmed."""
    credit = await desk.credit("40.00")
    booking = await desk.booking(hours=2)
    group = await desk.hold(booking_of(booking))
    assert parts(done(await desk.spend(booking_of(booking, Amount=15)))["Allocation"]["sources"][0])
    assert not succeeded(await desk.post(f"/api/ledger/holds/{group}/release"))
    assert not succeeded(await desk.post(f"/api/ledger/holds/{group}/release"))
    seen = await desk.balance(credit)
    assert (seen["Remaining"], seen["Held"], seen["Available"]) == ("25.0000", "0.0000", "25.0000")


async def test_one_purchase_is_held_once_however_often_it_is_asked_for(desk: Desk):
    """Line 1, for holds: a second hold of one booking would pay it a second time."""
    credit = await desk.credit("90.00")
    source = booking_of(await desk.booking(hours=1))
    asked = (desk.post("/api/ledger/holds", desk.basket(source)) for _ in range(TOGETHER))
    groups = [done(a)["HoldId"] for a in await asyncio.gather(*asked) if succeeded(a)]
    assert sum(group is not None for group in groups) == 1
    for group in groups:
        if group is not None:
            done(await desk.post(f"/api/ledger/holds/{group}/confirm"))
    assert parts(done(await desk.spend(source))["Allocation"]["sources"][0]) == []
    assert await desk.left(credit) == 70


async def test_time_for_one_booking_is_held_once(desk: Desk):
    """Line 1, for holds of time."""
    time = await desk.time_credit(300)
    source = booking_of(await desk.booking(hours=1))
    assert await desk.hold(source) is not None
    assert await desk.hold(source) is None
    assert (await desk.balance(time, "time"))["Available"] == 240


async def test_a_booking_cancelled_while_its_hold_is_confirmed_costs_nothing(desk: Desk):
    """Line 8, when the purchase goes while the hold becomes uses."""
    credit = await desk.credit("60.00")
    for _ in range(3):
        booking = await desk.booking(hours=1)
        group = await desk.hold(booking_of(booking))
        answers = await asyncio.gather(
            desk.post(f"/api/ledger/holds/{group}/confirm"),
            desk.run(BOOKINGS, "CANCEL_BOOKING", [booking]),
            desk.run(BOOKINGS, "CHARGE_BOOKING", [booking]),
        )
        assert all(a.status_code < 500 for a in answers)
        await desk.run(BOOKINGS, "CANCEL_BOOKING", [booking])
        assert (await desk.balance(credit))["Available"] == "60.0000"


async def test_a_hold_spent_and_let_go_at_once_never_lets_go_of_its_neighbour(desk: Desk):
    """Line 8: the release of one hold and the spend on it free another hold's credit."""
    for ways in ("srcs", "rscr", "csrs"):
        credit = await desk.credit("60.00")
        bookings = [await desk.booking(hours=1) for _ in range(2)]
        spent, kept = [await desk.hold(booking_of(each)) for each in bookings]
        path = f"/api/ledger/holds/{spent}/"
        acts = {
            "s": lambda source=booking_of(bookings[0]): desk.spend(source),
            "r": lambda path=path: desk.post(path + "release"),
            "c": lambda path=path: desk.post(path + "confirm"),
        }
        answers = await asyncio.gather(*(acts[way]() for way in ways))
        assert {a.status_code for a in answers} <= {200, 409}
        assert (await desk.balance(credit))["Held"] == "20.0000"
        done(await desk.spend(booking_of(bookings[0])))
        assert await desk.left(credit) == 40
        done(await desk.post(f"/api/ledger/holds/{kept}/release"))
        done(await desk.run(CREDITS, "VOID_CREDIT", [credit]))


async def test_what_is_held_is_not_available_to_anyone_else(desk: Desk):
    """Line 9: holds not counted in what is available."""
    credit = await desk.credit("50.00", IsUniversalCredit=True)
    await desk.hold(booking_of(await desk.booking(hours=2)))
    assert (await desk.use(credit, "10.01")).status_code == 400
    (other,) = await desk.preview(charge_of(1, 30))
    assert (parts(other), other["uncovered"]) == ([(f"money/{credit}", "10.0000")], "20.0000")
    assert await desk.hold(charge_of(2, 10)) is not None
    assert await desk.hold(charge_of(3, 10)) is None
    body = {"Kind": "money", "Id": credit, "Amount": -1, "Reason": "slip"}
    assert (await desk.post("/api/ledger/adjustments", body)).status_code == 400
    (voided,) = done(await desk.run(CREDITS, "VOID_CREDIT", [credit]))
    assert (voided["Removed"], voided["Held"]) == ("0.0000", "50.0000")
    assert await desk.left(credit) == 50


async def test_parallel_holds_never_reserve_more_than_there_is(desk: Desk):
    """Line 9, when many reserve at the same moment."""
    credit = await desk.credit("50.00", IsUniversalCredit=True)
    groups = await asyncio.gather(
        *(desk.post("/api/ledger/holds", desk.basket(charge_of(n, 20))) for n in range(10, 16))
    )
    held = [done(a)["HoldId"] for a in groups if succeeded(a)]
    assert sum(group is not None for group in held) == 3
    assert (await desk.balance(credit))["Available"] == "0.0000"


async def test_credit_that_was_held_still_lapses_when_it_did_before(desk: Desk):
    """Line 10: releasing a hold turns expiring credit into permanent credit."""
    until = desk.at(days=2)
    credit = await desk.credit("40.00", ExpireDate=until)
    group = await desk.hold(booking_of(await desk.booking(hours=1)))
    done(await desk.post(f"/api/ledger/holds/{group}/release"))
    named = {"CoworkerBookingCredit_Coworker": desk.town.customer}
    assert [(c["Id"], c["ExpireDate"]) for c in await desk.rows(CREDITS, **named)] == [
        (credit, until)
    ]
    desk.clock.move(days=3)
    assert (await desk.balance(credit))["Available"] == "0.0000"
