"""A change of a charged booking that decides who pays is decided again (rules 15, 25)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.schema.conversions import format_datetime
from tests.support.api_client import BOOKINGS, CREDITS, ApiClient, result_value, succeeded
from tests.support.ledger_builder import money


async def charged_booking(api: ApiClient, **values: Any) -> int:
    booking = await api.create_booking(hours=1, **values)
    result_value(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    return booking


async def put(api: ApiClient, booking: int, **changes: Any) -> httpx.Response:
    """A PUT of the booking as GET shows it, with these changes."""
    shown = (await api.http.get(f"{BOOKINGS}/{booking}")).json()
    return await api.http.put(BOOKINGS, json={**shown, "Repeats": 1, **changes})


async def test_rule_25_another_customer_pays_for_a_charged_booking(api: ApiClient) -> None:
    other = await api.ledger.add_customer("Grace")
    credit = await api.create_credit("40.00")
    others = await api.create_credit("30.00", CoworkerId=other)
    booking = await charged_booking(api)
    answer = await put(api, booking, CoworkerId=other)
    assert succeeded(answer), answer.text
    assert (await api.remaining(credit), await api.remaining(others)) == (40, 10)
    assert (await api.get(f"{BOOKINGS}/{booking}"))["Invoiced"]
    assert await api.verify_problems() == []


async def test_rule_15_a_charged_booking_that_comes_to_decline_credit_is_charged(
    api: ApiClient,
) -> None:
    credit = await api.create_credit("40.00")
    booking = await charged_booking(api)
    assert succeeded(await put(api, booking, DoNotUseBookingCredit=True))
    assert await api.remaining(credit) == 40
    (charge,) = await api.ledger.find(CoworkerExtraService, BookingId=booking)
    assert charge["Price"] == money("20.00")
    assert succeeded(await put(api, booking, DoNotUseBookingCredit=False))
    assert await api.remaining(credit) == 20
    assert await api.ledger.find(CoworkerExtraService, BookingId=booking) == []


async def test_rule_15_a_charged_booking_that_becomes_tentative_gets_its_payment_back(
    api: ApiClient,
) -> None:
    credit = await api.create_credit("5.00")
    booking = await charged_booking(api)
    assert succeeded(await put(api, booking, Tentative=True))
    assert await api.remaining(credit) == 5
    assert not (await api.get(f"{BOOKINGS}/{booking}"))["Invoiced"]
    assert await api.ledger.find(CoworkerExtraService, BookingId=booking) == []
    assert await api.verify_problems() == []


async def test_rule_25_a_change_that_decides_nothing_moves_nothing(api: ApiClient) -> None:
    credit = await api.create_credit("40.00")
    booking = await charged_booking(api)
    lines = len(await api.list_journal_lines(credit))
    assert succeeded(await put(api, booking, Notes="near the door", Tentative=False))
    assert len(await api.list_journal_lines(credit)) == lines
    stored = await api.ledger.get(CoworkerBookingCredit, credit)
    assert stored["RemainingCredit"] == money("20.00")


async def test_rule_25_an_expired_credit_keeps_what_it_paid(api: ApiClient) -> None:
    """It pays again up to what it paid; beyond that another credit does."""
    expired = await api.create_credit("30.00", ExpireDate=api.timestamp(days=9))
    other = await api.create_credit("90.00")
    booking = await charged_booking(api)
    assert await api.remaining(expired) == 10
    shown = (await api.http.get(f"{CREDITS}/{expired}")).json()
    ended = {**shown, "ExpireDate": api.timestamp(hours=1)}
    assert succeeded(await api.http.put(CREDITS, json=ended))
    starts = (await api.get(f"{BOOKINGS}/{booking}"))["FromTime"]
    begins = datetime.fromisoformat(starts)
    for minutes, left, others in ((30, 20, 90), (60, 20, 80), (120, 20, 60)):
        ends = format_datetime(begins + timedelta(minutes=minutes))
        assert succeeded(await put(api, booking, ToTime=ends))
        assert (await api.remaining(expired), await api.remaining(other)) == (left, others)
    assert await api.verify_problems() == []
