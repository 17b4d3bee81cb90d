"""Totals are exact without a walk over the rows, and deep pages come from the nearer end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as History,
)
from creditdesk.schema.listing import Filter, Listing, Order, Test
from creditdesk.schema.store import Store
from creditdesk.storage import unit as storage_unit

COLUMNS = History.shape().columns
START = datetime(1969, 12, 20, tzinfo=UTC)


async def fill(store: Store, moments: list[datetime], random: Random) -> None:
    for first in range(0, len(moments), 60):
        rows = [
            {"UniqueId": str(UUID(int=random.getrandbits(128))), "CreatedOn": t, "UpdatedOn": t}
            for t in moments[first : first + 60]
        ]
        async with store.writing() as unit:
            await unit.insert(History, rows)


def created(low: datetime | None, high: datetime | None) -> tuple[Filter, ...]:
    column = COLUMNS["CreatedOn"]
    return tuple(
        Filter(column, test, value)
        for test, value in ((Test.AT_LEAST, low), (Test.AT_MOST, high))
        if value is not None
    )


async def test_any_range_of_dates_totals_what_a_plain_count_finds(store: Store) -> None:
    random = Random(4)
    day = 24 * 60 * 60 * 1_000_000
    moments = [START + timedelta(microseconds=random.randrange(30 * day)) for _ in range(300)]
    moments += [START + timedelta(days=number) for number in range(20)]
    await fill(store, moments, random)
    async with store.reading() as reading:
        for turn in range(150):
            low, high = sorted((random.choice(moments), random.choice(moments)))
            if turn % 7 == 0:
                high = low + timedelta(seconds=random.randrange(90_000))
            if turn % 11 == 0:
                low, high = high, low
            for from_, to in ((low, high), (low, None), (None, high), (None, None)):
                expected = sum(
                    (from_ is None or t >= from_) and (to is None or t <= to) for t in moments
                )
                listing = Listing(History, created(from_, to), Order(COLUMNS["Id"]), 1, 1000)
                page = await reading.page(listing)
                assert page.total == len(page.rows) == expected
                assert await reading.count(History, created(from_, to)) == expected


async def test_a_unit_that_fails_leaves_the_total_as_it_was(store: Store) -> None:
    async with store.reading() as reading:
        before = await reading.count(History)
    try:
        async with store.writing() as unit:
            now = START
            row = {"UniqueId": str(UUID(int=7)), "CreatedOn": now, "UpdatedOn": now}
            await unit.insert(History, [row])
            raise LookupError
    except LookupError:
        pass
    async with store.reading() as reading:
        assert await reading.count(History) == before


async def test_pages_from_the_nearer_end_are_the_pages_from_the_start(
    store: Store, monkeypatch
) -> None:
    random = Random(5)
    await fill(store, [START + timedelta(seconds=n % 7) for n in range(301)], random)
    for descending in (False, True):
        order = Order(COLUMNS["CreatedOn"], descending)
        async with store.reading() as reading:
            whole = await reading.page(Listing(History, (), order, 1, 1000))
            monkeypatch.setattr(storage_unit, "DEEP_ROWS", 10)
            for number in range(1, 45):
                page = await reading.page(Listing(History, (), order, number, 17))
                assert page.total == whole.total
                assert page.rows == whole.rows[(number - 1) * 17 : number * 17]
            monkeypatch.undo()
