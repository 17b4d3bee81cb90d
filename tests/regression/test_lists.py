"""What lists and balances show: lines 21, 22, 25 and 28 of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.fields import show_instant
from tests.regression.desk import CREDITS, USES, Desk, booking_of, done, parts, reasons

USE = "CoworkerBookingCreditUseHistory_"
Row = dict[str, Any]


async def test_filters_together_find_what_each_of_them_leaves(desk: Desk):
    """Line 21: a combination of filters loses rows."""
    first, second = await desk.credit("100.00"), await desk.credit("100.00")
    booking = await desk.booking(hours=1)
    for number in range(24):
        values = {"BookingId": booking} if number % 3 == 0 else {}
        values["Description"] = f"coffee {number % 4}"
        done(await desk.use((first, second)[number % 2], str(number % 5), **values))
    await desk.run(USES, "REVERSE_USE", [row["Id"] for row in await desk.uses(first)][:3])
    rows = await desk.uses(first) + await desk.uses(second)
    filters: dict[tuple[str, str], Callable[[Row], bool]] = {
        ("CoworkerBookingCredit", str(first)): lambda r: r["CoworkerBookingCreditId"] == first,
        ("CreditUsed", "2"): lambda r: r["CreditUsed"] == 2,
        ("Booking", str(booking)): lambda r: r["BookingId"] == booking,
        ("Description", "COFFEE 1"): lambda r: "coffee 1" in r["Description"],
    }
    ranged: dict[tuple[str, str], Callable[[Row], bool]] = {
        ("from_" + USE + "CreditUsed", "1"): lambda r: r["CreditUsed"] >= 1,
        ("to_" + USE + "CreditUsed", "3"): lambda r: r["CreditUsed"] <= 3,
        ("from_" + USE + "CreatedOn", desk.at(hours=-1)): lambda r: True,
    }
    tests = {(USE + name, value): test for (name, value), test in filters.items()} | ranged
    mine = {row["Id"] for row in rows}
    for size in (1, 2, 3, len(tests)):
        for chosen in combinations(tests.items(), size):
            found = await desk.rows(USES, **dict(key for key, _ in chosen))
            wanted = {r["Id"] for r in rows if all(test(r) for _, test in chosen)}
            assert {r["Id"] for r in found} & mine == wanted, [key for key, _ in chosen]


async def test_the_balance_at_each_instant_is_that_of_the_last_line_recorded_by_then(desk: Desk):
    """Line 22: the time order of entries differs from their lock order."""
    credit = await desk.credit("40.00")
    await asyncio.gather(*(desk.use(credit, "1.00") for _ in range(16)))
    desk.clock.move(seconds=-30)
    await asyncio.gather(*(desk.use(credit, "0.50") for _ in range(4)))
    lines = await desk.lines(credit)
    recorded = [datetime.fromisoformat(line["RecordedOn"]) for line in lines]
    assert recorded == sorted(recorded)
    assert len(lines) == 21
    for at in sorted({recorded[0], recorded[5], recorded[11], recorded[-1]}):
        last = max(n for n, each in enumerate(recorded) if each <= at)
        shown = await desk.balance(credit, At=show_instant(at))
        assert shown["Remaining"] == f"{lines[last]['BalanceAfter']:.4f}"
    before = show_instant(recorded[0] - timedelta(microseconds=1))
    assert (await desk.balance(credit, At=before))["Remaining"] == "0.0000"


async def test_pages_repeat_and_lose_nothing_where_rows_sort_alike(desk: Desk):
    """Line 25: lists without a promised order repeat or lose rows across pages."""
    credit = await desk.credit("100.00")
    for number in range(23):
        done(await desk.use(credit, str(number % 2), Description="same"))
    named = {USE + "CoworkerBookingCredit": credit, "size": 5}
    mine = sorted(row["Id"] for row in await desk.uses(credit))
    orders = (None, "CreditUsed", "Description", "CreatedOn", "BookingId", "CoworkerBookingCredit")
    for order in orders:
        for way in (1, -1):
            asked = named | ({"orderby": order, "dir": way} if order else {})
            pages = [await desk.get(USES, page=n, **asked) for n in range(1, 6)]
            seen = [row["Id"] for page in pages for row in page["Records"]]
            assert sorted(seen) == mine, (order, way)
            assert {page["TotalItems"] for page in pages} == {23}


async def test_rows_that_come_while_pages_are_read_push_none_out(desk: Desk):
    """Line 25, for a list that grows at its end."""
    credit = await desk.credit("100.00")
    for _ in range(8):
        done(await desk.use(credit, "1"))
    before = [row["Id"] for row in await desk.uses(credit)]
    named = {USE + "CoworkerBookingCredit": credit, "size": 3, "orderby": "Id"}
    seen: list[int] = []
    for page in range(1, 5):
        found = await desk.get(USES, page=page, **named)
        seen += [row["Id"] for row in found["Records"]]
        done(await desk.use(credit, "1"))
    assert seen[: len(before)] == before
    assert len(seen) == len(set(seen))


async def test_a_list_never_shows_restricted_credit_as_credit_without_limits(desk: Desk):
    """Line 28: list answers that leave out the eligibility lists."""
    phones = await desk.town.add(ResourceType, Name="Booth", BusinessId=desk.town.business)
    limited = await desk.credit("50.00", ElegibleResourceTypes=[phones])
    free = await desk.credit("5.00")
    named = {"CoworkerBookingCredit_Coworker": desk.town.customer}
    listed = {row["Id"]: row for row in await desk.rows(CREDITS, **named)}
    for credit, types in ((limited, [phones]), (free, [])):
        # Left out is null, which says nothing; an empty list would say that all may be paid.
        assert listed[credit].get("ElegibleResourceTypes") in (None, types)
        assert (await desk.get(f"{CREDITS}/{credit}"))["ElegibleResourceTypes"] == types
    (batched,) = await desk.get(CREDITS, id=f"[{limited}]")
    assert batched["ElegibleResourceTypes"] == [phones]
    (source,) = await desk.preview(booking_of(await desk.booking(hours=1)))
    assert parts(source) == [(f"money/{free}", "5.0000")]
    assert reasons(source)[f"money/{limited}"] == "wrong_resource_type"


async def test_a_record_sent_back_as_a_list_showed_it_keeps_its_limits(desk: Desk):
    """Line 28, for a client that edits what it found in a list."""
    phones = await desk.town.add(ResourceType, Name="Booth", BusinessId=desk.town.business)
    limited = await desk.credit("50.00", ElegibleResourceTypes=[phones])
    named = {"CoworkerBookingCredit_Coworker": desk.town.customer}
    (row,) = await desk.rows(CREDITS, **named)
    sent = {name: float(v) if name.endswith("Credit") and v else v for name, v in row.items()}
    done(await desk.client.put(CREDITS, json={**sent, "Description": "edited"}))
    shown = await desk.get(f"{CREDITS}/{limited}")
    assert (shown["Description"], shown["ElegibleResourceTypes"]) == ("edited", [phones])
