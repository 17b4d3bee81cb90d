"""Reversals, restrictions, rounding and failed payments: lines 3, 7, 15 to 18 and 26."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.content.event_product import EventProduct
from creditdesk.entities.spaces.resource_type import ResourceType
from tests.support.api_client import (
    BOOKINGS,
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    charge_item,
    created_id,
    paid_parts,
    reason_codes,
    result_value,
    succeeded,
)
from tests.support.ledger_builder import money

TOGETHER = 8


async def test_concurrent_credit_update_loses_no_use(api: ApiClient) -> None:
    """Line 3: a lock taken on a row that moved."""
    credit = await api.create_credit("40.00")
    whole = {"Id": credit, **api.credit_body("50.00")}
    edits = (api.http.put(CREDITS, json={**whole, "Description": f"edit {n}"}) for n in range(4))
    answers = await asyncio.gather(*(api.post_use(credit, "1.00") for _ in range(16)), *edits)
    used = sum(succeeded(a) for a in answers[:16])
    assert any(succeeded(a) for a in answers[16:])
    assert await api.remaining(credit) == 50 - used
    assert len(await api.list_uses(credit)) == used


async def test_credit_moved_to_another_customer_is_spent_once(api: ApiClient) -> None:
    """Line 3, when the credit moves to another customer."""
    credit = await api.create_credit("10.00")
    other = await api.ledger.add_customer("Bea")
    body = {"Id": credit, **api.credit_body("10.00"), "CoworkerId": other}
    sources = [booking_item(await api.create_booking(hours=0.5)) for _ in range(3)]
    answers = await asyncio.gather(*(api.spend(source) for source in sources), api.http.put(CREDITS, json=body))
    paid = sum(bool(paid_parts(result_value(a)["Allocation"]["sources"][0])) for a in answers[:3] if succeeded(a))
    assert paid <= 1
    assert await api.remaining(credit) == 10 - 10 * paid


async def test_concurrent_reversals_return_use_once(api: ApiClient) -> None:
    """Line 7: a refund issued twice in parallel."""
    credit = await api.create_credit("40.00")
    use = created_id(await api.post_use(credit, "10.00"))
    answers = await asyncio.gather(
        *(api.run_command(USES, "REVERSE_USE", [use]) for _ in range(TOGETHER)),
        *(api.post("/api/ledger/reversals", {"Kind": "money", "Ids": [use]}) for _ in range(4)),
    )
    back = [each["Amount"] for a in answers if succeeded(a) for each in result_value(a)]
    assert max(back) == "10.0000"
    assert sum(Decimal(amount) for amount in back) == 10
    assert await api.remaining(credit) == 40


async def test_concurrent_partial_reversals_never_exceed_use(api: ApiClient) -> None:
    """Line 7, for parts."""
    credit = await api.create_credit("40.00")
    use = created_id(await api.post_use(credit, "10.00"))
    answers = await asyncio.gather(*(api.run_command(USES, "REVERSE_USE", [use], Amount=3) for _ in range(TOGETHER)))
    assert sum(succeeded(a) for a in answers) <= 3
    while succeeded(await api.run_command(USES, "REVERSE_USE", [use], Amount=3)):
        pass
    result_value(await api.run_command(USES, "REVERSE_USE", [use]))
    assert await api.remaining(credit) == 40
    (again,) = result_value(await api.run_command(USES, "REVERSE_USE", [use]))
    assert again["Amount"] == "0.0000"


async def test_restricted_credit_pays_only_allowed_items(api: ApiClient) -> None:
    """Line 15: restricted credit pays for something else."""
    ledger = api.ledger
    phones = await ledger.add(ResourceType, Name="Phone booth", BusinessId=ledger.business)
    booths = await api.create_credit("90.00", ElegibleResourceTypes=[phones])
    rooms = await api.create_credit("90.00", ElegibleResourceTypes=[ledger.resource_type])
    events = await api.create_credit("90.00", CaneBeUsedForBookings=False, CaneBeUsedForEvents=True)
    bare = await api.create_credit("90.00", CaneBeUsedForBookings=False)
    booking, charge, ticket = await api.preview(
        booking_item(await api.create_booking(hours=1)),
        charge_item(1, 20),
        {"Kind": "event_attendance", "Id": await a_ticket(api, "20.00")},
    )
    assert paid_parts(booking) == [(f"money/{rooms}", "20.0000")]
    assert reason_codes(booking)[f"money/{booths}"] == "wrong_resource_type"
    assert reason_codes(booking)[f"money/{bare}"] == "not_for_bookings"
    assert (paid_parts(charge), set(reason_codes(charge).values())) == ([], {"not_universal"})
    assert paid_parts(ticket) == [(f"money/{events}", "20.0000")]


async def test_universal_credit_with_restrictions_pays_only_those(api: ApiClient) -> None:
    """Line 15, for credit restricted to plans, which pays for no charge."""
    credit = await api.create_credit("90.00", IsUniversalCredit=True, ElegibleProducts=[])
    assert paid_parts((await api.preview(charge_item(1, 20)))[0])
    tariff = await api.create_tariff()
    body = api.credit_body("90.00", IsUniversalCredit=True, ElegibleTariffs=[tariff])
    result_value(await api.http.put(CREDITS, json={"Id": credit, **body}))
    (charge,) = await api.preview(charge_item(1, 20))
    assert reason_codes(charge) == {f"money/{credit}": "not_listed"}


async def test_each_buyer_pays_for_its_own_pass(api: ApiClient) -> None:
    """Line 15, reversed: the payment of one buyer covers nothing for the next."""
    ledger = api.ledger
    values = {"BusinessId": ledger.business, "CurrencyId": ledger.currency, "Price": money("15.00")}
    source = {"Kind": "time_pass", "Id": await ledger.add(TimePass, Name="Day", **values)}
    first = await api.create_credit("40.00", IsUniversalCredit=True)
    for left in (25, 10):
        result_value(await api.spend(source))
        assert await api.remaining(first) == left
    ledger.customer = await ledger.add_customer("Bea")
    second = await api.create_credit("40.00", IsUniversalCredit=True)
    result_value(await api.spend(source))
    assert await api.remaining(second) == 25


async def test_parts_of_odd_price_sum_to_price(api: ApiClient) -> None:
    """Line 16: a rounding cent makes a total negative."""
    for amount in ("3.33", "3.33", "3.33"):
        await api.create_credit(amount, IsUniversalCredit=True)
    last = await api.create_credit("10.00", IsUniversalCredit=True)
    (source,) = result_value(await api.spend(charge_item(1, 10)))["Allocation"]["sources"]
    assert sum(Decimal(taken) for _, taken in paid_parts(source)) == 10
    assert source["uncovered"] == "0.0000"
    assert await api.remaining(last) == Decimal("9.99")


async def test_two_half_reversals_return_everything(api: ApiClient) -> None:
    """Line 16: a 50 % refund loses a cent."""
    credit = await api.create_credit("10.00")
    use = created_id(await api.post_use(credit, "0.01"))
    odd = created_id(await api.post_use(credit, "3.3333"))
    for wanted, each in ((0.005, use), (1.6667, odd)):
        result_value(await api.run_command(USES, "REVERSE_USE", [each], Amount=wanted))
    halves = [Decimal(10) - Decimal("3.3433") + Decimal("1.6717"), await api.remaining(credit)]
    assert halves[0] == halves[1]
    result_value(await api.run_command(USES, "REVERSE_USE", [use, odd]))
    assert await api.remaining(credit) == 10


async def test_time_covers_whole_intervals_and_money_the_remainder(api: ApiClient) -> None:
    """Line 16, for a price in thirds."""
    time, credit = await api.create_time_credit(50), await api.create_credit("90.00")
    booking = await api.create_booking(hours=100 / 60)
    (source,) = await api.preview(booking_item(booking))
    # 105 minutes at 20.00 an hour are 35.00; 45 of them are covered by time.
    assert paid_parts(source) == [(f"time/{time}", 45), (f"money/{credit}", "20.0000")]
    covered = sum(Decimal(part["covered"]) for part in source["parts"])
    assert (covered, source["uncovered"]) == (35, "0.0000")


async def test_void_after_failed_payment_returns_nothing_twice(api: ApiClient) -> None:
    """Line 17: void after a failed payment doubles the credit."""
    credit = await api.create_credit("10.00")
    assert (await api.post_use(credit, "25.00")).status_code == 400
    use = created_id(await api.post_use(credit, "4.00"))
    (voided,) = result_value(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))
    assert (voided["Removed"], voided["Used"]) == ("6.0000", "4.0000")
    (again,) = result_value(await api.run_command(CREDITS, "VOID_CREDIT", [credit]))
    assert again["Removed"] == "0.0000"
    result_value(await api.run_command(USES, "REVERSE_USE", [use]))
    shown = await api.get(f"{CREDITS}/{credit}")
    assert (shown["RemainingCredit"], shown["TotalCredit"]) == (4, 4)


async def test_cancel_of_unpaid_booking_returns_nothing(api: ApiClient) -> None:
    """Line 17, for a booking whose charge was refused."""
    credit = await api.create_credit("10.00")
    booking = await api.create_booking(hours=1, Tentative=True)
    assert not succeeded(await api.run_command(BOOKINGS, "CHARGE_BOOKING", [booking]))
    (cancelled,) = result_value(await api.run_command(BOOKINGS, "CANCEL_BOOKING", [booking]))
    assert cancelled["Returned"] == []
    assert await api.remaining(credit) == 10


async def test_reversed_invoice_payment_returns_to_its_credit(api: ApiClient) -> None:
    """Line 18: voiding an invoice gives nothing back."""
    until = api.timestamp(days=9)
    credit = await api.create_credit("30.00", IsUniversalCredit=True, ExpireDate=until)
    line = await api.create_invoice_line("20.00")
    source = {"Kind": "invoice_line", "Id": line}
    result_value(await api.spend(source))
    paid = await api.list_records(USES, CoworkerBookingCreditUseHistory_CoworkerInvoiceLine=line, orderby="Id")
    ids = [row["Id"] for row in paid]
    result_value(await api.run_command(USES, "REVERSE_USE", ids, Reason="invoice voided"))
    shown = await api.get(f"{CREDITS}/{credit}")
    assert (shown["RemainingCredit"], shown["ExpireDate"]) == (30, until)
    # The returned credit can pay a new invoice.
    assert (await api.preview(source))[0]["uncovered"] == "0.0000"


async def test_failed_payment_takes_nothing(api: ApiClient) -> None:
    """Line 26: a failed payment still takes the credit."""
    credit = await api.create_credit("10.00")
    before = await api.get(f"{CREDITS}/{credit}")
    refused = [
        await api.post_use(credit, "10.01"),
        await api.post_use(credit, "-1"),
        await api.post_use(credit, "1", BookingId=10**9),
        await api.post_use(credit, "1", EventAttendeeId=10**9),
    ]
    assert {a.status_code for a in refused} == {400}
    assert await api.get(f"{CREDITS}/{credit}") == before
    assert await api.list_uses(credit) == []


async def test_negative_adjustment_shows_in_every_balance(api: ApiClient) -> None:
    """Line 26: a cached balance ignores negative corrections."""
    credit = await api.create_credit("10.00")
    result_value(await api.post_use(credit, "2.00"))
    for amount in (-3, 1, -0.5):
        body = {"Kind": "money", "Id": credit, "Amount": amount, "Reason": "count"}
        result_value(await api.post("/api/ledger/adjustments", body))
    left = Decimal("5.5")
    rows = await api.list_uses(credit)
    assert await api.remaining(credit) == left == 10 - sum(row["CreditUsed"] for row in rows)
    assert {row["CoworkerBookingCreditRemainingCredit"] for row in rows} == {left}
    assert (await api.get_balance(credit))["Available"] == "5.5000"
    assert (await api.list_journal_lines(credit))[-1]["BalanceAfter"] == left
    assert (await api.post_use(credit, "5.51")).status_code == 400


async def a_ticket(api: ApiClient, price: str) -> int:
    ledger = api.ledger
    event = await ledger.add(
        CalendarEvent, Name="Talk", BusinessId=ledger.business,
        StartDate=api.clock().replace(microsecond=0), EndDate=api.clock().replace(microsecond=0),
    )  # fmt: skip
    product = await ledger.add(
        EventProduct, Name="Seat", CalendarEventId=event, Price=money(price),
        CurrencyId=ledger.currency,
    )  # fmt: skip
    return await ledger.add(
        EventAttendee, BusinessId=ledger.business, CalendarEventId=event, EventProductId=product,
        CoworkerId=ledger.customer, FullName="Ada", Email="ada@example.com",
    )  # fmt: skip
