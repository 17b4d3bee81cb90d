"""A credit that no grant explains cannot be used until an operator adopts it (rule 38)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import CoworkerBookingCreditUseHistory
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.ledger.jobs import run_credit_expiry
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    TIME_USES,
    USES,
    AdjustableClock,
    ApiClient,
    booking_item,
    charge_item,
    created_id,
    paid_parts,
    parse_body,
    reason_codes,
    result_value,
)
from tests.support.ledger_builder import LedgerBuilder, money

MESSAGE = "is explained by no grant, so it cannot be used until an operator adopts it"
REASON = "The customer showed the receipt"


@pytest_asyncio.fixture
async def api(client: httpx.AsyncClient, ledger: LedgerBuilder) -> AsyncIterator[ApiClient]:
    offset = ledger.now - datetime.now(UTC)
    yield ApiClient(client, ledger, AdjustableClock(offset))


async def insert_credit(ledger: LedgerBuilder, total: str = "40.00", **values: Any) -> int:
    """A money credit put into the table, as by an edit of the database."""
    amount = {"TotalCredit": money(total), "RemainingCredit": money(total)}
    given = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "CaneBeUsedForBookings": True}
    return await ledger.add(CoworkerBookingCredit, **{**given, **amount, "IsUniversalCredit": True, **values})


async def insert_time_credit(ledger: LedgerBuilder, uses: int = 600) -> int:
    return await ledger.add(
        CoworkerExtraService,
        CoworkerId=ledger.customer,
        BusinessId=ledger.business,
        ExtraServiceId=ledger.rate,
        TotalUses=uses,
        RemainingUses=uses,
    )


def error_of(answer: httpx.Response) -> tuple[int, list[str]]:
    return answer.status_code, [error["Message"] for error in answer.json()["Errors"]]


async def adopt(api: ApiClient, credit: int, kind: str = "money", reason: str = REASON) -> httpx.Response:
    return await api.post("/api/ledger/adoptions", {"Kind": kind, "Id": credit, "Reason": reason})


async def test_verify_reports_the_credit_and_nothing_grants_it(api: ApiClient, ledger: LedgerBuilder) -> None:
    credit, time_credit = await insert_credit(ledger), await insert_time_credit(ledger)
    finding = "no grant explains the credit, so it cannot be used until it is adopted"
    expected = [f"money credit {credit}: {finding}", f"time credit {time_credit}: {finding}"]
    assert await api.verify_problems() == expected
    await api.post_use(credit, "1.00")
    await api.spend(charge_item(1, 1.0))
    await api.create_hold(booking_item(await api.create_booking()))
    await api.expire_credits()
    assert await api.verify_problems() == expected
    assert await api.list_journal_lines(credit) == []
    assert await api.list_journal_lines(time_credit, "time") == []


async def change_total(api: ApiClient, credit: int) -> httpx.Response:
    record = (await api.http.get(f"{CREDITS}/{credit}")).json()
    return await api.http.put(f"{CREDITS}/{credit}", json={**record, "TotalCredit": 50})


async def post_use(api: ApiClient, credit: int) -> httpx.Response:
    return await api.post(USES, {"CoworkerBookingCreditId": credit, "CreditUsed": 1})


async def adjust(api: ApiClient, credit: int) -> httpx.Response:
    return await api.post("/api/ledger/adjustments", {"Kind": "money", "Id": credit, "Amount": 1, "Reason": "r"})


async def void(api: ApiClient, credit: int) -> httpx.Response:
    return await api.run_command(CREDITS, "VOID_CREDIT", [credit])


async def set_priority(api: ApiClient, credit: int) -> httpx.Response:
    return await api.run_command(CREDITS, "SET_PRIORITY", [credit], Priority="1")


async def delete(api: ApiClient, credit: int) -> httpx.Response:
    return await api.http.delete(f"{CREDITS}/{credit}")


@pytest.mark.parametrize("act", [post_use, change_total, adjust, void, set_priority, delete])
async def test_every_write_of_it_is_refused(
    api: ApiClient, ledger: LedgerBuilder, act: Callable[[ApiClient, int], Awaitable[httpx.Response]]
) -> None:
    credit = await insert_credit(ledger)
    assert error_of(await act(api, credit)) == (400, [MESSAGE])
    assert await api.list_journal_lines(credit) == []
    assert await api.remaining(credit) == 40


async def test_a_time_use_of_it_is_refused(api: ApiClient, ledger: LedgerBuilder) -> None:
    credit = await insert_time_credit(ledger)
    body = {"CoworkerExtraServiceId": credit, "BookingId": await api.create_booking()}
    assert error_of(await api.post(TIME_USES, body)) == (400, [MESSAGE])


async def test_spends_and_holds_take_other_credit_and_say_why(api: ApiClient, ledger: LedgerBuilder) -> None:
    forged, forged_time = await insert_credit(ledger), await insert_time_credit(ledger)
    booking = booking_item(await api.create_booking())
    (seen,) = await api.preview(booking)
    codes = {f"money/{forged}": "no_grant", f"time/{forged_time}": "no_grant"}
    assert (paid_parts(seen), reason_codes(seen)) == ([], codes)
    assert await api.create_hold(booking) is None
    granted = await api.create_credit("15")
    done = result_value(await api.spend(booking))
    (paid,) = done["Allocation"]["sources"]
    assert paid_parts(paid) == [(f"money/{granted}", "15.0000")]
    assert reason_codes(paid) == {**codes, f"money/{granted}": "used"}


async def test_charging_a_booking_leaves_it_alone(api: ApiClient, ledger: LedgerBuilder) -> None:
    forged = await insert_credit(ledger)
    await insert_time_credit(ledger)
    booking = await api.create_booking()
    (charged,) = result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    assert charged["CoworkerExtraServiceId"] is not None
    assert await api.remaining(forged) == 40


async def test_balances_show_nothing_available(api: ApiClient, ledger: LedgerBuilder) -> None:
    credit = await insert_credit(ledger)
    balance = await api.get_balance(credit)
    assert (balance["Remaining"], balance["Available"]) == ("40.0000", "0.0000")


async def test_expiry_job_passes_over_it(api: ApiClient, ledger: LedgerBuilder) -> None:
    await insert_credit(ledger, ExpireDate=ledger.now - timedelta(days=1))
    granted = await ledger.add_money_credit("5.00", ExpireDate=ledger.now - timedelta(days=1))
    expired = [
        account
        async for accounts in run_credit_expiry(ledger.store, ledger.request_context(), ledger.context)
        for account in accounts
    ]
    assert [credit for _, credit in expired] == [granted]


async def test_adoption_writes_the_grant_with_actor_and_reason(api: ApiClient, ledger: LedgerBuilder) -> None:
    credit = await insert_credit(ledger, RemainingCredit=money("30.00"))
    await ledger.add(CoworkerBookingCreditUseHistory, CoworkerBookingCreditId=credit, CreditUsed=money("10.00"))
    value = result_value(await adopt(api, credit))
    assert value == {"Id": credit, "Remaining": "30.0000", "Total": "40.0000"}
    grant, used = await api.list_journal_lines(credit)
    assert (grant["Kind"], grant["Amount"], grant["Actor"], grant["Reason"]) == (
        "grant", 40, "boss@example.com", REASON,
    )  # fmt: skip
    assert (used["Kind"], used["Amount"], used["Reason"]) == ("use", 10, "used before the journal began")
    assert await api.verify_problems() == []
    parse_body(await api.post_use(credit, "30.00"))
    assert await api.remaining(credit) == 0


async def test_an_adopted_credit_pays(api: ApiClient, ledger: LedgerBuilder) -> None:
    credit = await insert_time_credit(ledger)
    result_value(await adopt(api, credit, "time"))
    done = result_value(await api.spend(booking_item(await api.create_booking())))
    assert paid_parts(done["Allocation"]["sources"][0]) == [(f"time/{credit}", 60)]
    assert await api.verify_problems() == []


async def test_adoption_refuses_what_it_cannot_explain(api: ApiClient, ledger: LedgerBuilder) -> None:
    granted = await api.create_credit("10")
    again = await adopt(api, granted)
    assert (again.status_code, again.json()["WasSuccessful"]) == (200, False)
    assert again.json()["Message"] == f"CoworkerBookingCredit {granted} has a grant, so there is nothing to adopt."
    assert (await adopt(api, 999)).status_code == 400
    charge = await ledger.add_time_credit(60, BookingId=await ledger.add_booking())
    assert error_of(await adopt(api, charge, "time")) == (400, ["is a booking charge and has no balance"])
    forged = await insert_credit(ledger)
    assert (await adopt(api, forged, reason="")).status_code == 400


async def test_a_created_credit_is_granted(api: ApiClient) -> None:
    credit = created_id(await api.post(CREDITS, api.credit_body("10")))
    assert [line["Kind"] for line in await api.list_journal_lines(credit)] == ["grant"]
