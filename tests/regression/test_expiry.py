"""Expired, early and renewed credit: lines 11 to 14, 19 and 20 of the catalogue."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    ApiClient,
    booking_item,
    charge_item,
    paid_parts,
    reason_codes,
    result_value,
)


async def test_expiry_job_during_spends_takes_only_expired_credit(api: ApiClient) -> None:
    """Line 11: the expiry job racing a spend takes another credit's amount."""
    lapsing = await api.create_credit("30.00", ExpireDate=api.timestamp(minutes=5))
    lasting = await api.create_credit("30.00", ExpireDate=api.timestamp(days=5))
    api.clock.advance(minutes=10)
    api.ledger.now = api.clock()
    uses = (api.post_use(each, "1.00") for each in (lapsing, lasting) for _ in range(8))
    await asyncio.gather(*uses, api.expire_credits(), api.expire_credits())
    lines = await api.list_journal_lines(lapsing)
    (swept,) = [at for at, line in enumerate(lines) if line["Kind"] == "expiry"]
    assert lines[swept]["Amount"] == lines[swept - 1]["BalanceAfter"] == 31 - swept
    assert "expiry" not in {line["Kind"] for line in await api.list_journal_lines(lasting)}
    assert await api.remaining(lasting) == await api.remaining(lapsing) == 22


async def test_expired_credit_pays_nothing_before_expiry_job(api: ApiClient) -> None:
    """Line 12: expired credit spendable before the expiry job."""
    credit = await api.create_credit("30.00", ExpireDate=api.timestamp(minutes=5), IsUniversalCredit=True)
    api.clock.advance(minutes=5)
    (charge,) = result_value(await api.spend(charge_item(1, 10)))["Allocation"]["sources"]
    assert (paid_parts(charge), charge["uncovered"]) == ([], "10.0000")
    assert reason_codes(charge) == {f"money/{credit}": "expired"}
    assert await api.create_hold(charge_item(2, 10)) is None
    assert (await api.get_balance(credit))["Available"] == "0.0000"
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == ["grant"]
    assert await api.remaining(credit) == 30


async def test_credit_does_not_pay_booking_after_its_expiry(api: ApiClient) -> None:
    """Line 12, by the time of the booking."""
    credit = await api.create_credit("30.00", ExpireDate=api.timestamp(hours=12))
    (charged,) = result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [await api.create_booking(hours=1)]))
    (source,) = charged["Allocation"]["sources"]
    assert reason_codes(source) == {f"money/{credit}": "expired"}
    assert await api.remaining(credit) == 30


async def test_credit_expiring_between_draft_and_invoice_keeps_earlier_payment(
    api: ApiClient,
) -> None:
    """Line 13: expiry between draft and final invoice."""
    credit = await api.create_credit("30.00", ExpireDate=api.timestamp(hours=1), IsUniversalCredit=True)
    line = {"Kind": "invoice_line", "Id": await api.create_invoice_line("50.00")}
    (draft,) = result_value(await api.spend({**line, "Amount": 10}))["Allocation"]["sources"]
    assert paid_parts(draft) == [(f"money/{credit}", "10.0000")]
    api.clock.advance(hours=2)
    (final,) = result_value(await api.spend(line))["Allocation"]["sources"]
    assert (paid_parts(final), final["uncovered"]) == ([], "40.0000")
    assert await api.remaining(credit) == 20


async def test_preview_promises_nothing_after_expiry(api: ApiClient) -> None:
    """Line 13, for a preview of the draft."""
    credit = await api.create_credit("30.00", ExpireDate=api.timestamp(hours=1), IsUniversalCredit=True)
    line = {"Kind": "invoice_line", "Id": await api.create_invoice_line("20.00")}
    assert paid_parts((await api.preview(line))[0]) == [(f"money/{credit}", "20.0000")]
    api.clock.advance(hours=2)
    (final,) = result_value(await api.spend(line))["Allocation"]["sources"]
    assert reason_codes(final) == {f"money/{credit}": "expired"}
    assert await api.remaining(credit) == 30


async def test_later_period_credit_does_not_pay_earlier_period(api: ApiClient) -> None:
    """Line 14: a grant made later pays an earlier period."""
    later = await api.create_credit("90.00", ValidFrom=api.timestamp(days=3), ExpireDate=api.timestamp(days=33))
    early, late = (
        await api.create_booking(hours=1),
        await api.create_booking(hours=1, FromTime=api.timestamp(days=4), ToTime=api.timestamp(days=4, hours=1)),
    )
    first, second = await api.preview(booking_item(early), booking_item(late))
    assert reason_codes(first) == {f"money/{later}": "not_yet_valid"}
    assert paid_parts(second) == [(f"money/{later}", "20.0000")]
    api.clock.advance(days=4)
    (again,) = await api.preview(booking_item(early))
    assert reason_codes(again) == {f"money/{later}": "not_yet_valid"}


async def test_plan_credit_reset_keeps_other_credit(api: ApiClient) -> None:
    """Line 19: a reset wipes unrelated credit."""
    bought = await api.create_credit("70.00", ExpireDate=api.timestamp(days=300))
    used = await api.create_credit("10.00")
    result_value(await api.post_use(used, "4"))
    await api.create_plan_contract()
    assert result_value(await api.post("/api/ledger/renewals"))
    api.clock.advance(days=35)
    api.ledger.now = api.clock()
    assert result_value(await api.post("/api/ledger/renewals"))
    await api.expire_credits()
    assert (await api.remaining(bought), await api.remaining(used)) == (70, 6)
    assert (await api.get_balance(bought))["Available"] == "70.0000"
    assert [line["Kind"] for line in await api.list_journal_lines(bought)] == ["grant"]


async def test_void_affects_one_credit(api: ApiClient) -> None:
    """Line 19, by hand."""
    kept, gone = await api.create_credit("20.00"), await api.create_credit("20.00")
    result_value(await api.run_command(CREDITS, "VOID_CREDIT", [gone]))
    assert (await api.remaining(kept), await api.remaining(gone)) == (20, 0)


async def test_missed_period_is_granted_once_and_lasts_to_its_end(api: ApiClient) -> None:
    """Line 20: a roll-over is lost."""
    await api.create_plan_contract()
    result_value(await api.post("/api/ledger/renewals", {}))
    (first,) = await granted(api)
    result_value(await api.post_use(first["Id"], "15"))
    api.clock.advance(days=100)
    runs = [await api.post("/api/ledger/renewals", {}) for _ in range(2)]
    assert [len(result_value(run)) > 0 for run in runs] == [True, False]
    credits_ = await granted(api)
    assert [c["RemainingCredit"] for c in credits_] == [
        Decimal(45), *(Decimal(60) for _ in credits_[1:])
    ]  # fmt: skip
    # Each period begins where the one before it ends.
    assert [c["ExpireDate"] for c in credits_[:-1]] == [c["ValidFrom"] for c in credits_[1:]]
    assert len(credits_) in (4, 5)


async def test_concurrent_renewals_grant_each_period_once(api: ApiClient) -> None:
    """Line 20 and its opposite: a period granted twice."""
    await api.create_plan_contract()
    await asyncio.gather(*(api.post("/api/ledger/renewals", {}) for _ in range(5)))
    assert len(await granted(api)) == 1


async def granted(api: ApiClient) -> list[dict[str, Any]]:
    """The credits that the plan granted, oldest first."""
    named = {"CoworkerBookingCredit_Coworker": api.ledger.customer}
    found = await api.list_records(CREDITS, orderby="ValidFrom", **named)
    return [credit for credit in found if credit["TariffBookingCreditId"]]
