"""What lists and balances show: lines 21, 22, 25 and 28 of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.schema.conversions import format_datetime
from tests.support.api_client import (
    CREDITS,
    USES,
    ApiClient,
    booking_item,
    paid_parts,
    reason_codes,
    result_value,
)

USE = "CoworkerBookingCreditUseHistory_"
Row = dict[str, Any]


async def test_combined_filters_intersect(api: ApiClient) -> None:
    """Line 21: a combination of filters loses rows."""
    first, second = await api.create_credit("100.00"), await api.create_credit("100.00")
    booking = await api.create_booking(hours=1)
    for number in range(24):
        values: dict[str, Any] = {"BookingId": booking} if number % 3 == 0 else {}
        values["Description"] = f"coffee {number % 4}"
        result_value(await api.post_use((first, second)[number % 2], str(number % 5), **values))
    await api.run_command(USES, "REVERSE_USE", [row["Id"] for row in await api.list_uses(first)][:3])
    rows = await api.list_uses(first) + await api.list_uses(second)
    filters: dict[tuple[str, str], Callable[[Row], bool]] = {
        ("CoworkerBookingCredit", str(first)): lambda r: r["CoworkerBookingCreditId"] == first,
        ("CreditUsed", "2"): lambda r: r["CreditUsed"] == 2,
        ("Booking", str(booking)): lambda r: r["BookingId"] == booking,
        ("Description", "COFFEE 1"): lambda r: "coffee 1" in r["Description"],
    }
    ranged: dict[tuple[str, str], Callable[[Row], bool]] = {
        ("from_" + USE + "CreditUsed", "1"): lambda r: r["CreditUsed"] >= 1,
        ("to_" + USE + "CreditUsed", "3"): lambda r: r["CreditUsed"] <= 3,
        ("from_" + USE + "CreatedOn", api.timestamp(hours=-1)): lambda r: True,
    }
    tests = {(USE + name, value): test for (name, value), test in filters.items()} | ranged
    mine = {row["Id"] for row in rows}
    for size in (1, 2, 3, len(tests)):
        for chosen in combinations(tests.items(), size):
            found = await api.list_records(USES, **dict(key for key, _ in chosen))
            wanted = {r["Id"] for r in rows if all(test(r) for _, test in chosen)}
            assert {r["Id"] for r in found} & mine == wanted, [key for key, _ in chosen]


async def test_balance_at_instant_matches_last_recorded_line(api: ApiClient) -> None:
    """Line 22: the time order of entries differs from their lock order."""
    credit = await api.create_credit("40.00")
    await asyncio.gather(*(api.post_use(credit, "1.00") for _ in range(16)))
    api.clock.advance(seconds=-30)
    await asyncio.gather(*(api.post_use(credit, "0.50") for _ in range(4)))
    lines = await api.list_journal_lines(credit)
    recorded = [datetime.fromisoformat(line["RecordedOn"]) for line in lines]
    assert recorded == sorted(recorded)
    assert len(lines) == 21
    for at in sorted({recorded[0], recorded[5], recorded[11], recorded[-1]}):
        last = max(n for n, each in enumerate(recorded) if each <= at)
        shown = await api.get_balance(credit, At=format_datetime(at))
        assert shown["Remaining"] == f"{lines[last]['BalanceAfter']:.4f}"
    before = format_datetime(recorded[0] - timedelta(microseconds=1))
    assert (await api.get_balance(credit, At=before))["Remaining"] == "0.0000"


async def test_pages_are_stable_for_equal_sort_keys(api: ApiClient) -> None:
    """Line 25: lists without a promised order repeat or lose rows across pages."""
    credit = await api.create_credit("100.00")
    for number in range(23):
        result_value(await api.post_use(credit, str(number % 2), Description="same"))
    named = {USE + "CoworkerBookingCredit": credit, "size": 5}
    mine = sorted(row["Id"] for row in await api.list_uses(credit))
    orders = (None, "CreditUsed", "Description", "CreatedOn", "BookingId", "CoworkerBookingCredit")
    for order in orders:
        for way in (1, -1):
            requests = named | ({"orderby": order, "dir": way} if order else {})
            pages = [await api.get(USES, page=n, **requests) for n in range(1, 6)]
            seen = [row["Id"] for page in pages for row in page["Records"]]
            assert sorted(seen) == mine, (order, way)
            assert {page["TotalItems"] for page in pages} == {23}


async def test_rows_inserted_while_paging_hide_nothing(api: ApiClient) -> None:
    """Line 25, for a list that grows at its end."""
    credit = await api.create_credit("100.00")
    for _ in range(8):
        result_value(await api.post_use(credit, "1"))
    before = [row["Id"] for row in await api.list_uses(credit)]
    named = {USE + "CoworkerBookingCredit": credit, "size": 3, "orderby": "Id"}
    seen: list[int] = []
    for page in range(1, 5):
        found = await api.get(USES, page=page, **named)
        seen += [row["Id"] for row in found["Records"]]
        result_value(await api.post_use(credit, "1"))
    assert seen[: len(before)] == before
    assert len(seen) == len(set(seen))


async def test_list_shows_credit_restrictions(api: ApiClient) -> None:
    """Line 28: list answers that leave out the eligibility lists."""
    phones = await api.ledger.add(ResourceType, Name="Booth", BusinessId=api.ledger.business)
    limited = await api.create_credit("50.00", ElegibleResourceTypes=[phones])
    free = await api.create_credit("5.00")
    named = {"CoworkerBookingCredit_Coworker": api.ledger.customer}
    listed = {row["Id"]: row for row in await api.list_records(CREDITS, **named)}
    for credit, types in ((limited, [phones]), (free, [])):
        # A field that is left out is null; an empty list would mean no restriction.
        assert listed[credit].get("ElegibleResourceTypes") in (None, types)
        assert (await api.get(f"{CREDITS}/{credit}"))["ElegibleResourceTypes"] == types
    (batched,) = await api.get(CREDITS, id=f"[{limited}]")
    assert batched["ElegibleResourceTypes"] == [phones]
    (source,) = await api.preview(booking_item(await api.create_booking(hours=1)))
    assert paid_parts(source) == [(f"money/{free}", "5.0000")]
    assert reason_codes(source)[f"money/{limited}"] == "wrong_resource_type"


async def test_put_of_listed_record_keeps_restrictions(api: ApiClient) -> None:
    """Line 28, for a client that edits what it found in a list."""
    phones = await api.ledger.add(ResourceType, Name="Booth", BusinessId=api.ledger.business)
    limited = await api.create_credit("50.00", ElegibleResourceTypes=[phones])
    named = {"CoworkerBookingCredit_Coworker": api.ledger.customer}
    (row,) = await api.list_records(CREDITS, **named)
    sent = {name: float(v) if name.endswith("Credit") and v else v for name, v in row.items()}
    result_value(await api.http.put(CREDITS, json={**sent, "Description": "edited"}))
    shown = await api.get(f"{CREDITS}/{limited}")
    assert (shown["Description"], shown["ElegibleResourceTypes"]) == ("edited", [phones])


async def test_filter_on_one_reference_goes_with_the_order_by_another(api: ApiClient) -> None:
    """The page reads the first rows in the order of the list, which names the tables that the filter joins."""
    credit = await api.create_credit("40.00")
    await api.post_use(credit, "5.00")
    query = {"CoworkerBookingCreditUseHistory_EventAttendee_FullName": "Nobody"}
    for order in ("CoworkerBookingCreditRemainingCredit", "BookingResourceName", "EventAttendeeFullName"):
        assert await api.list_records(USES, orderby=order, **query) == []
    by_day = await api.list_records(CREDITS, CoworkerBookingCredit_ExpireDate="1976-01-01", orderby="BusinessName")
    assert by_day == []
