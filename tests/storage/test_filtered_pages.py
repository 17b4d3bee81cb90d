"""Pages of filtered lists hold the same rows, however the statement finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit as Credit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as Use,
)
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.business import Business
from creditdesk.schema.entity import Record
from creditdesk.schema.query import Comparison, Filter, ListQuery
from creditdesk.schema.repository import Store
from creditdesk.storage import filtered_pages, narrow_filters, text_filters
from tests.storage.storage_contract import insert_rows, order_by, where
from tests.support.record_builder import RecordBuilder

DAY = datetime(2026, 3, 10, tzinfo=UTC)
ROWS = 150
SIZE = 4
STARTS = [DAY + timedelta(days=number) for number in range(12)]
RECORDED = [DAY + timedelta(hours=number) for number in range(60)]


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    """Every way to find a page is taken at the size of this table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filtered_pages, "SORTED_MATCHES", 6)
        patch.setattr(filtered_pages, "WALKED_ROWS", 25)
        patch.setattr(filtered_pages, "MATCHES_OF_WALKED_ROW", 2)
        patch.setattr(text_filters, "SAMPLED_ROWS", 25)
        patch.setattr(text_filters, "COMMON_MATCHES", 5)
        patch.setattr(narrow_filters, "NARROW_ROWS", 12)
        yield


@pytest.fixture(scope="module")
async def uses(store: Store, builder: RecordBuilder, few_rows: None) -> list[Record]:
    """Uses at two locations whose amounts follow their ids, and whose bookings begin in any order."""
    random = Random(3)
    places = [await builder.create(Business) for _ in range(2)]
    bookings = [await builder.create(Booking, FromTime=start, ToTime=start + timedelta(hours=1)) for start in STARTS]
    credits_ = [await builder.create(Credit, BusinessId=place, TotalCredit=900) for place in places for _ in range(3)]
    rows = [
        {
            "CoworkerBookingCreditId": random.choice(credits_),
            "BookingId": random.choice((*bookings, None)),
            "CreditUsed": number,
            "Description": "Locker" if number in (70, 80) else random.choice(("Printing", "print shop", "Desk", None)),
            "CreatedOn": random.choice(RECORDED),
            "UpdatedOn": random.choice(RECORDED),
        }
        for number in range(ROWS)
    ]
    await insert_rows(store, Use, *rows)
    async with store.read_session() as reading:
        columns = [*(column.name for column in Use.meta().list_columns), "CoworkerBookingCreditBusinessId"]
        return await reading.find(Use, columns=columns)


def matches(record: Record, filter_: Filter) -> bool:
    held, value = record[filter_.column.name], filter_.value
    compare: dict[Comparison, Callable[[], Any]] = {
        Comparison.AT_LEAST: lambda: held >= value,
        Comparison.AT_MOST: lambda: held <= value,
        Comparison.BETWEEN: lambda: value[0] <= held < value[1],
        Comparison.EQUALS: lambda: held == value,
        Comparison.CONTAINS: lambda: value in held.casefold(),
        Comparison.NOT_NULL: lambda: True,
    }
    if filter_.comparison is Comparison.NULL:
        return held is None
    return held is not None and bool(compare[filter_.comparison]())


def amount(comparison: Comparison, value: int) -> Filter:
    return where(Use, "CreditUsed", comparison, value)


def begins(comparison: Comparison, value: Any = None) -> Filter:
    return where(Use, "BookingFromTime", comparison, value)


def cases(location: int) -> Iterator[tuple[Filter, ...]]:
    """Filters that match no row, few, most and all, at either end of the table."""
    for value in (-1, 0, 3, 9, 30, 70, 120, ROWS - 4, ROWS):
        yield (amount(Comparison.AT_LEAST, value),)
        yield (amount(Comparison.AT_MOST, value),)
    at = where(Use, "CoworkerBookingCreditBusinessId", Comparison.EQUALS, location)
    recorded = where(Use, "CreatedOn", Comparison.AT_MOST, RECORDED[30])
    empty = where(Use, "CoworkerBookingCreditRemainingCredit", Comparison.EQUALS, 900)
    for first, until in pairwise(STARTS[::3]):
        yield (begins(Comparison.BETWEEN, (first, until)), recorded)
        yield (at, begins(Comparison.AT_LEAST, first))
        yield (begins(Comparison.AT_LEAST, first), begins(Comparison.AT_MOST, until), recorded)
    yield (begins(Comparison.NULL),)
    yield (begins(Comparison.NOT_NULL),)
    yield (begins(Comparison.NOT_NULL), at)
    yield (at, empty)
    yield (at, empty, recorded)
    for first, until in pairwise(RECORDED[::5]):
        second = where(Use, "CreatedOn", Comparison.BETWEEN, (first, until))
        yield (second,)
        yield (second, at)
        yield (begins(Comparison.BETWEEN, (STARTS[1], STARTS[2])), second)
        yield (begins(Comparison.BETWEEN, (STARTS[0], STARTS[-1])), second, at)
    nowhere = where(Use, "CoworkerBookingCreditBusinessId", Comparison.EQUALS, 2**40)
    yield (nowhere, begins(Comparison.BETWEEN, (STARTS[0], STARTS[-1])))
    yield (amount(Comparison.EQUALS, 30), at)
    yield (amount(Comparison.EQUALS, 30), where(Use, "Description", Comparison.CONTAINS, "d"))
    for text in ("print", "desk", "locker", "nothing like it"):
        part = where(Use, "Description", Comparison.CONTAINS, text)
        yield (part,)
        yield (part, recorded, at)
        yield (part, nowhere)
        yield (part, where(Use, "CreatedOn", Comparison.BETWEEN, (RECORDED[0], RECORDED[20])))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["Id", "CreatedOn", "UpdatedOn", "CreditUsed"])
async def test_pages_equal_sorted_matches(store: Store, uses: list[Record], name: str, *, descending: bool) -> None:
    order = order_by(Use, name, descending=descending)
    position = [column.name for column in Use.meta().list_columns].index("Id")
    ordered = sorted(uses, key=lambda record: (record[name], record["Id"]), reverse=descending)
    totals = set()
    async with store.read_session() as reading:
        for filters in cases(uses[0]["CoworkerBookingCreditBusinessId"]):
            right = [record["Id"] for record in ordered if all(matches(record, each) for each in filters)]
            for number in (1, 2, len(right) // SIZE, len(right) // SIZE + 2):
                page = await reading.page(ListQuery(Use, filters, order, max(number, 1), SIZE))
                first = (max(number, 1) - 1) * SIZE
                assert page.total == len(right), filters
                assert [row[position] for row in page.rows] == right[first : first + SIZE], filters
            assert await reading.count(Use, filters) == len(right)
            totals.add(len(right))
    assert {0, ROWS} < totals
