"""Lapsed, early and renewed credit: lines 11 to 14, 19 and 20 of the catalogue."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from creditdesk.entities.billing.coworker_contract import CoworkerContract
from creditdesk.entities.billing.tariff_booking_credit import TariffBookingCredit
from tests.ledger.town import money
from tests.regression.desk import (
    BOOKINGS,
    CREDITS,
    Desk,
    booking_of,
    charge_of,
    done,
    parts,
    reasons,
)


async def test_the_expiry_run_beside_spends_takes_only_what_lapsed(desk: Desk):
    """Line 11: the expiry job racing a spend takes another credit's amount."""
    lapsing = await desk.credit("30.00", ExpireDate=desk.at(minutes=5))
    lasting = await desk.credit("30.00", ExpireDate=desk.at(days=5))
    desk.clock.move(minutes=10)
    desk.town.now = desk.clock()
    uses = (desk.use(each, "1.00") for each in (lapsing, lasting) for _ in range(8))
    await asyncio.gather(*uses, desk.sweep(), desk.sweep())
    lines = await desk.lines(lapsing)
    (swept,) = [at for at, line in enumerate(lines) if line["Kind"] == "expiry"]
    assert lines[swept]["Amount"] == lines[swept - 1]["BalanceAfter"] == 31 - swept
    assert "expiry" not in {line["Kind"] for line in await desk.lines(lasting)}
    assert await desk.left(lasting) == await desk.left(lapsing) == 22


async def test_lapsed_credit_pays_nothing_before_any_run_has_swept_it(desk: Desk):
    """Line 12: lapsed but unswept credit still spendable."""
    credit = await desk.credit("30.00", ExpireDate=desk.at(minutes=5), IsUniversalCredit=True)
    desk.clock.move(minutes=5)
    (charge,) = done(await desk.spend(charge_of(1, 10)))["Allocation"]["sources"]
    assert (parts(charge), charge["uncovered"]) == ([], "10.0000")
    assert reasons(charge) == {f"money/{credit}": "expired"}
    assert await desk.hold(charge_of(2, 10)) is None
    assert (await desk.balance(credit))["Available"] == "0.0000"
    assert [line["Kind"] for line in await desk.lines(credit)] == ["grant"]
    assert await desk.left(credit) == 30


async def test_a_booking_after_the_expiry_is_not_paid_by_the_credit(desk: Desk):
    """Line 12, by the instant that is paid for."""
    credit = await desk.credit("30.00", ExpireDate=desk.at(hours=12))
    (charged,) = done(await desk.run(BOOKINGS, "CHARGE_BOOKING", [await desk.booking(hours=1)]))
    (source,) = charged["Allocation"]["sources"]
    assert reasons(source) == {f"money/{credit}": "expired"}
    assert await desk.left(credit) == 30


async def test_what_lapses_between_draft_and_final_invoice_pays_only_what_it_paid(desk: Desk):
    """Line 13: expiry between draft and final invoice."""
    credit = await desk.credit("30.00", ExpireDate=desk.at(hours=1), IsUniversalCredit=True)
    line = {"Kind": "invoice_line", "Id": await desk.invoice_line("50.00")}
    (draft,) = done(await desk.spend({**line, "Amount": 10}))["Allocation"]["sources"]
    assert parts(draft) == [(f"money/{credit}", "10.0000")]
    desk.clock.move(hours=2)
    (final,) = done(await desk.spend(line))["Allocation"]["sources"]
    assert (parts(final), final["uncovered"]) == ([], "40.0000")
    assert await desk.left(credit) == 20


async def test_a_preview_of_a_draft_promises_nothing_after_the_expiry(desk: Desk):
    """Line 13, when the draft was only looked at."""
    credit = await desk.credit("30.00", ExpireDate=desk.at(hours=1), IsUniversalCredit=True)
    line = {"Kind": "invoice_line", "Id": await desk.invoice_line("20.00")}
    assert parts((await desk.preview(line))[0]) == [(f"money/{credit}", "20.0000")]
    desk.clock.move(hours=2)
    (final,) = done(await desk.spend(line))["Allocation"]["sources"]
    assert reasons(final) == {f"money/{credit}": "expired"}
    assert await desk.left(credit) == 30


async def test_credit_of_a_later_period_does_not_pay_an_earlier_one(desk: Desk):
    """Line 14: a grant made later pays an earlier period."""
    later = await desk.credit("90.00", ValidFrom=desk.at(days=3), ExpireDate=desk.at(days=33))
    early, late = (
        await desk.booking(hours=1),
        await desk.booking(hours=1, FromTime=desk.at(days=4), ToTime=desk.at(days=4, hours=1)),
    )
    first, second = await desk.preview(booking_of(early), booking_of(late))
    assert reasons(first) == {f"money/{later}": "not_yet_valid"}
    assert parts(second) == [(f"money/{later}", "20.0000")]
    desk.clock.move(days=4)
    (again,) = await desk.preview(booking_of(early))
    assert reasons(again) == {f"money/{later}": "not_yet_valid"}


async def test_a_reset_of_a_plans_credit_leaves_all_other_credit_alone(desk: Desk):
    """Line 19: a reset wipes unrelated credit."""
    bought = await desk.credit("70.00", ExpireDate=desk.at(days=300))
    used = await desk.credit("10.00")
    done(await desk.use(used, "4"))
    await on_a_plan(desk)
    assert done(await desk.post("/api/ledger/renewals"))
    desk.clock.move(days=35)
    desk.town.now = desk.clock()
    assert done(await desk.post("/api/ledger/renewals"))
    await desk.sweep()
    assert (await desk.left(bought), await desk.left(used)) == (70, 6)
    assert (await desk.balance(bought))["Available"] == "70.0000"
    assert [line["Kind"] for line in await desk.lines(bought)] == ["grant"]


async def test_voiding_one_credit_leaves_its_neighbours_alone(desk: Desk):
    """Line 19, by hand."""
    kept, gone = await desk.credit("20.00"), await desk.credit("20.00")
    done(await desk.run(CREDITS, "VOID_CREDIT", [gone]))
    assert (await desk.left(kept), await desk.left(gone)) == (20, 0)


async def test_each_missed_period_is_granted_once_and_loses_nothing_before_its_end(desk: Desk):
    """Line 20: a roll-over is lost."""
    await on_a_plan(desk)
    done(await desk.post("/api/ledger/renewals", {}))
    (first,) = await granted(desk)
    done(await desk.use(first["Id"], "15"))
    desk.clock.move(days=100)
    runs = [await desk.post("/api/ledger/renewals", {}) for _ in range(2)]
    assert [len(done(run)) > 0 for run in runs] == [True, False]
    credits_ = await granted(desk)
    assert [c["RemainingCredit"] for c in credits_] == [
        Decimal(45), *(Decimal(60) for _ in credits_[1:])
    ]  # fmt: skip
    # One begins where the one before it ends, so no instant is without credit or has it twice.
    assert [c["ExpireDate"] for c in credits_[:-1]] == [c["ValidFrom"] for c in credits_[1:]]
    assert len(credits_) in (4, 5)


async def test_parallel_renewals_grant_each_period_once(desk: Desk):
    """Line 20 and its opposite: a period granted twice."""
    await on_a_plan(desk)
    await asyncio.gather(*(desk.post("/api/ledger/renewals", {}) for _ in range(5)))
    assert len(await granted(desk)) == 1


async def on_a_plan(desk: Desk) -> int:
    """The customer's contract of a plan that renews 60.00 on every first of the month."""
    town = desk.town
    tariff = await desk.tariff()
    await town.add(
        TariffBookingCredit,
        Name="Credit",
        TariffId=tariff,
        Credit=money("60.00"),
        CaneBeUsedForBookings=True,
        ServiceRenewalTime=2,
    )
    return await town.add(
        CoworkerContract,
        IssuedById=town.business,
        CoworkerId=town.customer,
        TariffId=tariff,
        StartDate=desk.clock().replace(microsecond=0),
        BillingDay=1,
        Quantity=1,
        Active=True,
    )


async def granted(desk: Desk) -> list[dict]:
    """The credits that the plan gave, oldest first."""
    named = {"CoworkerBookingCredit_Coworker": desk.town.customer}
    found = await desk.rows(CREDITS, orderby="ValidFrom", **named)
    return [credit for credit in found if credit["TariffBookingCreditId"]]
