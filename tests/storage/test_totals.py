"""Totals kept by day always equal the rows counted one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from builders import Builder
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.listing import Listing, Test
from creditdesk.schema.store import Store
from storage.promise import by, put, where

DAY = datetime(2026, 3, 10, tzinfo=UTC)
CREATED = [
    datetime(1969, 12, 31, 12, tzinfo=UTC),
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    *(DAY + timedelta(hours=7 * number) for number in range(30)),
    *(DAY + timedelta(days=number) for number in range(5)),
    *(DAY + timedelta(days=number, microseconds=-1) for number in range(5)),
]


@pytest.fixture(scope="module")
async def filled(store: Store, build: Builder) -> list[datetime]:
    """Lines created at these instants, in units of several and of one."""
    business = await build.shared("Business")
    rows = [
        {
            "BusinessId": business, "CreditId": 1, "CreditKind": "money", "Sequence": number,
            "Kind": "grant", "EffectiveOn": DAY, "RecordedOn": DAY, "CreatedOn": instant,
        }
        for number, instant in enumerate(CREATED, 1)
    ]  # fmt: skip
    await put(store, JournalLine, *rows[:20])
    for row in rows[20:]:
        await put(store, JournalLine, row)
    return CREATED


async def totals(store: Store, low: datetime | None, high: datetime | None) -> tuple[int, int]:
    filters = []
    if low:
        filters.append(where(JournalLine, "CreatedOn", Test.AT_LEAST, low))
    if high:
        filters.append(where(JournalLine, "CreatedOn", Test.AT_MOST, high))
    listing = Listing(JournalLine, tuple(filters), by(JournalLine, "Id"), 1, 1)
    async with store.reading() as reading:
        page = await reading.page(listing)
        return page.total, await reading.count(JournalLine, filters)


async def test_every_range_counts_its_rows(store: Store, filled: list[datetime]) -> None:
    random = Random(3)
    edges = [None, *filled, *(t + timedelta(microseconds=random.choice((-1, 1))) for t in filled)]
    ranges = [(random.choice(edges), random.choice(edges)) for _ in range(150)]
    for low, high in [(None, None), *ranges]:
        right = sum((low is None or t >= low) and (high is None or t <= high) for t in filled)
        assert await totals(store, low, high) == (right, right), (low, high)


async def test_a_unit_that_fails_is_not_counted(store: Store, filled: list[datetime]) -> None:
    from builders import stored_row

    before = await totals(store, None, None)
    with pytest.raises(RuntimeError):
        async with store.writing() as unit:
            await unit.insert(JournalLine, [stored_row(JournalLine, CreditId=2, Sequence=1)])
            raise RuntimeError
    assert await totals(store, None, None) == before
