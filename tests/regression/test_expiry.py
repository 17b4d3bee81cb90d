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
    ApiClient,
    booking_item,
    charge_item,
    paid_parts,
    reason_codes,
    result_value,
)


async def test_expiry_job_during_spends_takes_only_expired_credit(desk: ApiClient):
    """Line 11: the expiry job racing a spend takes another credit's amount."""
    lapsing = await desk.create_credit("30.00", ExpireDate=desk.timestamp(minutes=5))
    lasting = await desk.create_credit("30.00", ExpireDate=desk.timestamp(days=5))
    desk.clock.advance(minutes=10)
    desk.ledger.now = desk.clock()
    uses = (desk.post_use(each, "1.00") for each in (lapsing, lasting) for _ in range(8))
    await asyncio.gather(*uses, desk.expire_credits(), desk.expire_credits())
    lines = await desk.list_journal_lines(lapsing)
    (swept,) = [at for at, line in enumerate(lines) if line["Kind"] == "expiry"]
    assert lines[swept]["Amount"] == lines[swept - 1]["BalanceAfter"] == 31 - swept
    assert "expiry" not in {line["Kind"] for line in await desk.list_journal_lines(lasting)}
    assert await desk.remaining(lasting) == await desk.remaining(lapsing) == 22


async def test_expired_credit_pays_nothing_before_expiry_job(desk: ApiClient):
    """Line 12: lapsed but unswept credit still spendable."""
    credit = await desk.create_credit(
        "30.00", ExpireDate=desk.timestamp(minutes=5), IsUniversalCredit=True
    )
    desk.clock.advance(minutes=5)
    (charge,) = result_value(await desk.spend(charge_item(1, 10)))["Allocation"]["sources"]
    assert (paid_parts(charge), charge["uncovered"]) == ([], "10.0000")
    assert reason_codes(charge) == {f"money/{credit}": "expired"}
    assert await desk.create_hold(charge_item(2, 10)) is None
    assert (await desk.get_balance(credit))["Available"] == "0.0000"
    assert [line["Kind"] for line in await desk.list_journal_lines(credit)] == ["grant"]
    assert await desk.remaining(credit) == 30


async def test_credit_does_not_pay_booking_after_its_expiry(desk: ApiClient):
    """Line 12, by the instant that is paid for."""
    credit = await desk.create_credit("30.00", ExpireDate=desk.timestamp(hours=12))
    (charged,) = result_value(
        await desk.run_command(BOOKINGS, "CHARGE_BOOKING", [await desk.create_booking(hours=1)])
    )
    (source,) = charged["Allocation"]["sources"]
    assert reason_codes(source) == {f"money/{credit}": "expired"}
    assert await desk.remaining(credit) == 30


async def test_credit_expiring_between_draft_and_invoice_keeps_earlier_payment(desk: ApiClient):
    """Line 13: expiry between draft and final invoice."""
    credit = await desk.create_credit(
        "30.00", ExpireDate=desk.timestamp(hours=1), IsUniversalCredit=True
    )
    line = {"Kind": "invoice_line", "Id": await desk.create_invoice_line("50.00")}
    (draft,) = result_value(await desk.spend({**line, "Amount": 10}))["Allocation"]["sources"]
    assert paid_parts(draft) == [(f"money/{credit}", "10.0000")]
    desk.clock.advance(hours=2)
    (final,) = result_value(await desk.spend(line))["Allocation"]["sources"]
    assert (paid_parts(final), final["uncovered"]) == ([], "40.0000")
    assert await desk.remaining(credit) == 20


async def test_preview_promises_nothing_after_expiry(desk: ApiClient):
    """Line 13, when the draft was only looked at."""
    credit = await desk.create_credit(
        "30.00", ExpireDate=desk.timestamp(hours=1), IsUniversalCredit=True
    )
    line = {"Kind": "invoice_line", "Id": await desk.create_invoice_line("20.00")}
    assert paid_parts((await desk.preview(line))[0]) == [(f"money/{credit}", "20.0000")]
    desk.clock.advance(hours=2)
    (final,) = result_value(await desk.spend(line))["Allocation"]["sources"]
    assert reason_codes(final) == {f"money/{credit}": "expired"}
    assert await desk.remaining(credit) == 30


async def test_later_period_credit_does_not_pay_earlier_period(desk: ApiClient):
    """Line 14: a grant made later pays an earlier period."""
    later = await desk.create_credit(
        "90.00", ValidFrom=desk.timestamp(days=3), ExpireDate=desk.timestamp(days=33)
    )
    early, late = (
        await desk.create_booking(hours=1),
        await desk.create_booking(
            hours=1, FromTime=desk.timestamp(days=4), ToTime=desk.timestamp(days=4, hours=1)
        ),
    )
    first, second = await desk.preview(booking_item(early), booking_item(late))
    assert reason_codes(first) == {f"money/{later}": "not_yet_valid"}
    assert paid_parts(second) == [(f"money/{later}", "20.0000")]
    desk.clock.advance(days=4)
    (again,) = await desk.preview(booking_item(early))
    assert reason_codes(again) == {f"money/{later}": "not_yet_valid"}


async def test_plan_credit_reset_keeps_other_credit(desk: ApiClient):
    """Line 19: a reset wipes unrelated credit."""
    bought = await desk.create_credit("70.00", ExpireDate=desk.timestamp(days=300))
    used = await desk.create_credit("10.00")
    result_value(await desk.post_use(used, "4"))
    await on_a_plan(desk)
    assert result_value(await desk.post("/api/ledger/renewals"))
    desk.clock.advance(days=35)
    desk.ledger.now = desk.clock()
    assert result_value(await desk.post("/api/ledger/renewals"))
    await desk.expire_credits()
    assert (await desk.remaining(bought), await desk.remaining(used)) == (70, 6)
    assert (await desk.get_balance(bought))["Available"] == "70.0000"
    assert [line["Kind"] for line in await desk.list_journal_lines(bought)] == ["grant"]


async def test_void_affects_one_credit(desk: ApiClient):
    """Line 19, by hand."""
    kept, gone = await desk.create_credit("20.00"), await desk.create_credit("20.00")
    result_value(await desk.run_command(CREDITS, "VOID_CREDIT", [gone]))
    assert (await desk.remaining(kept), await desk.remaining(gone)) == (20, 0)


async def test_missed_period_is_granted_once_and_lasts_to_its_end(desk: ApiClient):
    """Line 20: a roll-over is lost."""
    await on_a_plan(desk)
    result_value(await desk.post("/api/ledger/renewals", {}))
    (first,) = await granted(desk)
    result_value(await desk.post_use(first["Id"], "15"))
    desk.clock.advance(days=100)
    runs = [await desk.post("/api/ledger/renewals", {}) for _ in range(2)]
    assert [len(result_value(run)) > 0 for run in runs] == [True, False]
    credits_ = await granted(desk)
    assert [c["RemainingCredit"] for c in credits_] == [
        Decimal(45), *(Decimal(60) for _ in credits_[1:])
    ]  # fmt: skip
    # One begins where the one before it ends, so no instant is without credit or has it twice.
    assert [c["ExpireDate"] for c in credits_[:-1]] == [c["ValidFrom"] for c in credits_[1:]]
    assert len(credits_) in (4, 5)


async def test_concurrent_renewals_grant_each_period_once(desk: ApiClient):
    """Line 20 and its opposite: a period granted twice."""
    await on_a_plan(desk)
    await asyncio.gather(*(desk.post("/api/ledger/renewals", {}) for _ in range(5)))
    assert len(await granted(desk)) == 1


async def on_a_plan(desk: ApiClient) -> int:
    """The customer's contract of a plan that renews 60.00 on every first of the month."""
    town = desk.ledger
    tariff = await desk.create_tariff()
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


async def granted(desk: ApiClient) -> list[dict]:
    """The credits that the plan gave, oldest first."""
    named = {"CoworkerBookingCredit_Coworker": desk.ledger.customer}
    found = await desk.list_records(CREDITS, orderby="ValidFrom", **named)
    return [credit for credit in found if credit["TariffBookingCreditId"]]
