"""A change of a charged booking that decides who pays is decided again (rules 15, 25)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from creditdesk.app import build_app
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.extra_service import ExtraService
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.repository import Store
from creditdesk.settings import LedgerSettings, Settings
from tests.support.api_client import BOOKINGS, CREDITS, AdjustableClock, ApiClient, result_value, succeeded
from tests.support.ledger_builder import money
from tests.support.users import http_client


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


async def hourly_rate(api: ApiClient) -> int:
    """A rate of 20.00 for bookings that name it."""
    return await api.ledger.add_rate(1, "20.00", resource_types=())


async def set_hourly_price(api: ApiClient, rate: int, price: str) -> None:
    async with api.ledger.store.write_session() as session:
        await session.update(ExtraService, [(rate, {"Price": money(price)})])


async def recalculate(api: ApiClient, booking: int, **parameters: Any) -> dict[str, Any]:
    (found,) = result_value(await api.run_command(BOOKINGS, "RECALCULATE_BOOKING", [booking], **parameters))
    assert isinstance(found, dict)
    return found


async def test_rule_22_recalculation_keeps_the_price_of_what_did_not_change(api: ApiClient) -> None:
    """Credit that arrived late pays the price that was charged, whatever the rate costs today."""
    rate = await hourly_rate(api)
    booking = await charged_booking(api, ExtraServiceId=rate)
    credit = await api.create_credit("90.00")
    await set_hourly_price(api, rate, "30.00")
    shown = await recalculate(api, booking, Preview=True)
    assert (shown["After"], shown["Uncovered"]) == ({f"money/{credit}": "20.0000"}, "0.0000")
    done = await recalculate(api, booking)
    assert done["After"] == shown["After"]
    assert await api.remaining(credit) == 70
    assert (await recalculate(api, booking))["After"] == shown["After"]
    assert succeeded(await put(api, booking, CoworkerId=await api.ledger.add_customer("Grace")))
    (charge,) = await api.ledger.find(CoworkerExtraService, BookingId=booking)
    assert (charge["Price"], await api.remaining(credit)) == (money("20.00"), 90)
    assert await api.verify_problems() == []


async def test_rule_22_a_booking_with_other_times_is_priced_anew(api: ApiClient) -> None:
    rate = await hourly_rate(api)
    credit = await api.create_credit("90.00")
    booking = await charged_booking(api, ExtraServiceId=rate)
    await set_hourly_price(api, rate, "30.00")
    starts = datetime.fromisoformat((await api.get(f"{BOOKINGS}/{booking}"))["FromTime"])
    assert succeeded(await put(api, booking, ToTime=format_datetime(starts + timedelta(hours=2))))
    assert await api.remaining(credit) == 30


async def test_rule_22_a_quote_at_a_rate_that_is_gone_is_not_kept(api: ApiClient) -> None:
    """The booking names no rate: it was priced at its resource type's cheapest."""
    cheapest = await api.ledger.add_rate(1, "12.00", resource_types=(api.ledger.resource_type,))
    credit = await api.create_credit("90.00")
    booking = await charged_booking(api)
    assert await api.remaining(credit) == 78
    async with api.ledger.store.write_session() as session:
        await session.delete(ExtraService, [cheapest])
    await recalculate(api, booking)
    assert await api.remaining(credit) == 70


async def test_rule_22_a_setting_prices_every_recalculation_anew(
    api: ApiClient, store: Store, clock: AdjustableClock, admin_token: str
) -> None:
    rate = await hourly_rate(api)
    credit = await api.create_credit("90.00")
    booking = await charged_booking(api, ExtraServiceId=rate)
    await set_hourly_price(api, rate, "30.00")
    settings = Settings(ledger=LedgerSettings(reprice_on_recalculate=True))
    async with http_client(build_app(store, settings, clock), admin_token) as client:
        await recalculate(replace(api, http=client), booking)
    assert await api.remaining(credit) == 60
