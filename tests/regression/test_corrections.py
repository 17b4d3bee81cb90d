"""What goes wrong on the way back, and what a failure takes: lines 3, 7, 15 to 18 and 26."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.content.event_product import EventProduct
from creditdesk.entities.spaces.resource_type import ResourceType
from tests.ledger.town import money
from tests.regression.desk import (
    BOOKINGS,
    CREDITS,
    USES,
    Desk,
    booking_of,
    charge_of,
    done,
    made,
    parts,
    reasons,
    succeeded,
)

TOGETHER = 8


async def test_a_credit_edited_while_it_is_spent_loses_no_use(desk: Desk):
    """Line 3: a lock taken on a row that moved."""
    credit = await desk.credit("40.00")
    whole = {"Id": credit, **desk.credit_body("50.00")}
    edits = (desk.client.put(CREDITS, json={**whole, "Description": f"edit {n}"}) for n in range(4))
    answers = await asyncio.gather(*(desk.use(credit, "1.00") for _ in range(16)), *edits)
    used = sum(succeeded(a) for a in answers[:16])
    assert any(succeeded(a) for a in answers[16:])
    assert await desk.left(credit) == 50 - used
    assert len(await desk.uses(credit)) == used


async def test_a_credit_that_moves_to_another_customer_is_spent_once(desk: Desk):
    """Line 3, when the row changes whom it belongs to."""
    credit = await desk.credit("10.00")
    other = await desk.town.add_customer("Bea")
    body = {"Id": credit, **desk.credit_body("10.00"), "CoworkerId": other}
    sources = [booking_of(await desk.booking(hours=0.5)) for _ in range(3)]
    answers = await asyncio.gather(
        *(desk.spend(source) for source in sources), desk.client.put(CREDITS, json=body)
    )
    paid = sum(
        bool(parts(done(a)["Allocation"]["sources"][0])) for a in answers[:3] if succeeded(a)
    )
    assert paid <= 1
    assert await desk.left(credit) == 10 - 10 * paid


async def test_a_use_given_back_many_times_at_once_comes_back_once(desk: Desk):
    """Line 7: a refund issued twice in parallel."""
    credit = await desk.credit("40.00")
    use = made(await desk.use(credit, "10.00"))
    answers = await asyncio.gather(
        *(desk.run(USES, "REVERSE_USE", [use]) for _ in range(TOGETHER)),
        *(desk.post("/api/ledger/reversals", {"Kind": "money", "Ids": [use]}) for _ in range(4)),
    )
    back = [each["Amount"] for a in answers if succeeded(a) for each in done(a)]
    assert sorted(back)[-1] == "10.0000"
    assert sum(Decimal(amount) for amount in back) == 10
    assert await desk.left(credit) == 40


async def test_parallel_refunds_of_parts_never_give_back_more_than_was_used(desk: Desk):
    """Line 7, for parts."""
    credit = await desk.credit("40.00")
    use = made(await desk.use(credit, "10.00"))
    answers = await asyncio.gather(
        *(desk.run(USES, "REVERSE_USE", [use], Amount=3) for _ in range(TOGETHER))
    )
    assert sum(succeeded(a) for a in answers) <= 3
    while succeeded(await desk.run(USES, "REVERSE_USE", [use], Amount=3)):
        pass
    done(await desk.run(USES, "REVERSE_USE", [use]))
    assert await desk.left(credit) == 40
    (again,) = done(await desk.run(USES, "REVERSE_USE", [use]))
    assert again["Amount"] == "0.0000"


async def test_restricted_credit_pays_for_nothing_else(desk: Desk):
    """Line 15: restricted credit pays for something else."""
    town = desk.town
    phones = await town.add(ResourceType, Name="Phone booth", BusinessId=town.business)
    booths = await desk.credit("90.00", ElegibleResourceTypes=[phones])
    rooms = await desk.credit("90.00", ElegibleResourceTypes=[town.room_type])
    events = await desk.credit("90.00", CaneBeUsedForBookings=False, CaneBeUsedForEvents=True)
    bare = await desk.credit("90.00", CaneBeUsedForBookings=False)
    booking, charge, ticket = await desk.preview(
        booking_of(await desk.booking(hours=1)),
        charge_of(1, 20),
        {"Kind": "event_attendance", "Id": await a_ticket(desk, "20.00")},
    )
    assert parts(booking) == [(f"money/{rooms}", "20.0000")]
    assert reasons(booking)[f"money/{booths}"] == "wrong_resource_type"
    assert reasons(booking)[f"money/{bare}"] == "not_for_bookings"
    assert (parts(charge), set(reasons(charge).values())) == ([], {"not_universal"})
    assert parts(ticket) == [(f"money/{events}", "20.0000")]


async def test_universal_credit_with_a_list_pays_only_what_is_listed(desk: Desk):
    """Line 15, for credit that lists plans: charges are none of them."""
    credit = await desk.credit("90.00", IsUniversalCredit=True, ElegibleProducts=[])
    assert parts((await desk.preview(charge_of(1, 20)))[0])
    tariff = await desk.tariff()
    body = desk.credit_body("90.00", IsUniversalCredit=True, ElegibleTariffs=[tariff])
    done(await desk.client.put(CREDITS, json={"Id": credit, **body}))
    (charge,) = await desk.preview(charge_of(1, 20))
    assert reasons(charge) == {f"money/{credit}": "not_listed"}


async def test_a_kind_of_pass_is_paid_by_each_who_buys_it(desk: Desk):
    """Line 15, the other way round: what one paid covers nothing for the next."""
    town = desk.town
    values = {"BusinessId": town.business, "CurrencyId": town.currency, "Price": money("15.00")}
    source = {"Kind": "time_pass", "Id": await town.add(TimePass, Name="Day", **values)}
    first = await desk.credit("40.00", IsUniversalCredit=True)
    for left in (25, 10):
        done(await desk.spend(source))
        assert await desk.left(first) == left
    town.customer = await town.add_customer("Bea")
    second = await desk.credit("40.00", IsUniversalCredit=True)
    done(await desk.spend(source))
    assert await desk.left(second) == 25


async def test_parts_of_an_odd_price_add_up_to_the_price(desk: Desk):
    """Line 16: a rounding cent makes a total negative."""
    for amount in ("3.33", "3.33", "3.33"):
        await desk.credit(amount, IsUniversalCredit=True)
    last = await desk.credit("10.00", IsUniversalCredit=True)
    (source,) = done(await desk.spend(charge_of(1, 10)))["Allocation"]["sources"]
    assert sum(Decimal(taken) for _, taken in parts(source)) == 10
    assert source["uncovered"] == "0.0000"
    assert await desk.left(last) == Decimal("9.99")


async def test_half_a_refund_and_the_other_half_are_the_whole(desk: Desk):
    """Line 16: a 50 % refund loses a cent."""
    credit = await desk.credit("10.00")
    use = made(await desk.use(credit, "0.01"))
    odd = made(await desk.use(credit, "3.3333"))
    for wanted, each in ((0.005, use), (1.6667, odd)):
        done(await desk.run(USES, "REVERSE_USE", [each], Amount=wanted))
    halves = [Decimal("10") - Decimal("3.3433") + Decimal("1.6717"), await desk.left(credit)]
    assert halves[0] == halves[1]
    done(await desk.run(USES, "REVERSE_USE", [use, odd]))
    assert await desk.left(credit) == 10


async def test_time_covers_whole_steps_and_money_the_exact_rest(desk: Desk):
    """Line 16, for a price in thirds."""
    time, credit = await desk.time_credit(50), await desk.credit("90.00")
    booking = await desk.booking(hours=100 / 60)
    (source,) = await desk.preview(booking_of(booking))
    # 105 minutes at 20.00 an hour are 35.00; 45 of them are covered by time.
    assert parts(source) == [(f"time/{time}", 45), (f"money/{credit}", "20.0000")]
    covered = sum(Decimal(part["covered"]) for part in source["parts"])
    assert (covered, source["uncovered"]) == (35, "0.0000")


async def test_voiding_what_a_failed_payment_left_gives_nothing_twice(desk: Desk):
    """Line 17: void after a failed payment doubles the credit."""
    credit = await desk.credit("10.00")
    assert (await desk.use(credit, "25.00")).status_code == 400
    use = made(await desk.use(credit, "4.00"))
    (voided,) = done(await desk.run(CREDITS, "VOID_CREDIT", [credit]))
    assert (voided["Removed"], voided["Used"]) == ("6.0000", "4.0000")
    (again,) = done(await desk.run(CREDITS, "VOID_CREDIT", [credit]))
    assert again["Removed"] == "0.0000"
    done(await desk.run(USES, "REVERSE_USE", [use]))
    shown = await desk.get(f"{CREDITS}/{credit}")
    assert (shown["RemainingCredit"], shown["TotalCredit"]) == (4, 4)


async def test_cancelling_what_was_never_paid_gives_nothing_back(desk: Desk):
    """Line 17, for a booking whose charge was refused."""
    credit = await desk.credit("10.00")
    booking = await desk.booking(hours=1, Tentative=True)
    assert not succeeded(await desk.run(BOOKINGS, "CHARGE_BOOKING", [booking]))
    (cancelled,) = done(await desk.run(BOOKINGS, "CANCEL_BOOKING", [booking]))
    assert cancelled["Returned"] == []
    assert await desk.left(credit) == 10


async def test_what_an_invoice_was_paid_with_comes_back_to_its_credit(desk: Desk):
    """Line 18: voiding an invoice gives nothing back."""
    until = desk.at(days=9)
    credit = await desk.credit("30.00", IsUniversalCredit=True, ExpireDate=until)
    line = await desk.invoice_line("20.00")
    source = {"Kind": "invoice_line", "Id": line}
    done(await desk.spend(source))
    paid = await desk.rows(
        USES, CoworkerBookingCreditUseHistory_CoworkerInvoiceLine=line, orderby="Id"
    )
    ids = [row["Id"] for row in paid]
    done(await desk.run(USES, "REVERSE_USE", ids, Reason="invoice voided"))
    shown = await desk.get(f"{CREDITS}/{credit}")
    assert (shown["RemainingCredit"], shown["ExpireDate"]) == (30, until)
    # What came back is owed again, so a new invoice can be paid by it.
    assert (await desk.preview(source))[0]["uncovered"] == "0.0000"


async def test_a_failed_payment_takes_nothing_and_says_so(desk: Desk):
    """Line 26: a failed payment still takes the credit."""
    credit = await desk.credit("10.00")
    before = await desk.get(f"{CREDITS}/{credit}")
    refused = [
        await desk.use(credit, "10.01"),
        await desk.use(credit, "-1"),
        await desk.use(credit, "1", BookingId=10**9),
        await desk.use(credit, "1", EventAttendeeId=10**9),
    ]
    assert {a.status_code for a in refused} == {400}
    assert await desk.get(f"{CREDITS}/{credit}") == before
    assert await desk.uses(credit) == []


async def test_a_correction_downwards_counts_in_every_balance_shown(desk: Desk):
    """Line 26: a cached balance ignores negative corrections."""
    credit = await desk.credit("10.00")
    done(await desk.use(credit, "2.00"))
    for amount in (-3, 1, -0.5):
        body = {"Kind": "money", "Id": credit, "Amount": amount, "Reason": "count"}
        done(await desk.post("/api/ledger/adjustments", body))
    left = Decimal("5.5")
    rows = await desk.uses(credit)
    assert await desk.left(credit) == left == 10 - sum(row["CreditUsed"] for row in rows)
    assert {row["CoworkerBookingCreditRemainingCredit"] for row in rows} == {left}
    assert (await desk.balance(credit))["Available"] == "5.5000"
    assert (await desk.lines(credit))[-1]["BalanceAfter"] == left
    assert (await desk.use(credit, "5.51")).status_code == 400


async def a_ticket(desk: Desk, price: str) -> int:
    town = desk.town
    event = await town.add(
        CalendarEvent, Name="Talk", BusinessId=town.business,
        StartDate=desk.clock().replace(microsecond=0), EndDate=desk.clock().replace(microsecond=0),
    )  # fmt: skip
    product = await town.add(
        EventProduct, Name="Seat", CalendarEventId=event, Price=money(price),
        CurrencyId=town.currency,
    )  # fmt: skip
    return await town.add(
        EventAttendee, BusinessId=town.business, CalendarEventId=event, EventProductId=product,
        CoworkerId=town.customer, FullName="Ada", Email="ada@example.com",
    )  # fmt: skip
