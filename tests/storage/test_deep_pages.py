"""Pages far from the start are the same, found by the row counters or read from an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as Use,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Entity
from creditdesk.schema.query import Comparison, Filter, ListQuery, Page
from creditdesk.schema.repository import Store
from creditdesk.storage import session as storage_unit
from creditdesk.storage.codecs import from_microseconds, to_microseconds
from creditdesk.storage.row_counters import CREATED_ON_BUCKETS
from tests.storage.storage_contract import insert_rows, order_by, where
from tests.support.record_builder import stored_row

DAY = datetime(2026, 3, 10, tzinfo=UTC)
EDGE = from_microseconds(
    ((to_microseconds(DAY) >> CREATED_ON_BUCKETS.bucket_bits[0]) + 1) << CREATED_ON_BUCKETS.bucket_bits[0]
)
"""The start of a bucket of every width."""

FIRST, LAST = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))  # noqa: DTZ901
MICROSECOND = timedelta(microseconds=1)
MOMENTS = [
    *([FIRST] * 20),
    *([LAST] * 20),
    *(datetime(1969, 12, 31, hour, tzinfo=UTC) for hour in range(24)),
    datetime(1970, 1, 1, tzinfo=UTC) - MICROSECOND,
    datetime(1970, 1, 1, tzinfo=UTC),
    *(DAY + timedelta(days=number) for number in range(-9, 9)),
    *(DAY + timedelta(days=number) - MICROSECOND for number in range(-9, 9)),
    *(EDGE + step * MICROSECOND for step in (-1, 0, 1)),
    *(DAY + timedelta(hours=5, seconds=number % 7) for number in range(90)),
    *(DAY + timedelta(hours=11 * number) for number in range(60)),
    *([DAY + timedelta(days=2)] * 40),
]
RANGES = [
    (None, None),
    (DAY + timedelta(hours=5, seconds=3), None),
    (None, DAY + timedelta(days=6, hours=7)),
    (DAY, DAY + timedelta(days=2)),
    (DAY + timedelta(days=2), DAY + timedelta(days=2)),
    (DAY + timedelta(hours=5, seconds=3), EDGE),
    (EDGE, EDGE + timedelta(days=9)),
    (datetime(1969, 12, 31, 7, 30, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
    (DAY, DAY - timedelta(days=3)),
    (FIRST, LAST),
    (FIRST, FIRST),
    (LAST, None),
]


@pytest.fixture(scope="module")
async def filled(store: Store) -> list[tuple[datetime, int]]:
    """Uses created at these instants, their ids in no order of creation: (instant, id)."""
    random = Random(5)
    moments = random.sample(MOMENTS, len(MOMENTS))
    rows = [{"UniqueId": str(UUID(int=random.getrandbits(128))), "CreatedOn": moment} for moment in moments]
    ids = [*await insert_rows(store, Use, *rows[:150]), *await insert_rows(store, Use, *rows[150:])]
    return list(zip(moments, ids, strict=True))


@pytest.fixture
def every_page_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_unit, "DEEP_PAGE_OFFSET", 1)


def between(low: datetime | None, high: datetime | None) -> list[Filter]:
    filters = [where(Use, "CreatedOn", Comparison.AT_MOST, high)] if high else []
    # The two filters may come in either order.
    return [*filters, where(Use, "CreatedOn", Comparison.AT_LEAST, low)] if low else filters


async def pages(store: Store, listing: ListQuery, right: list[int]) -> None:
    """Requests every page, and some past the end."""
    size = listing.size
    async with store.read_session() as reading:
        for number in [*range(1, len(right) // size + 3), 2**63 // 1000]:
            page = await reading.page(ListQuery(listing.entity, listing.filters, listing.order, number, size))
            assert page.total == len(right)
            assert ids_of(listing.entity, page) == right[(number - 1) * size : number * size]


def ids_of(entity: type[Entity], page: Page) -> list[int]:
    at = [column.name for column in entity.meta().list_columns].index("Id")
    return [row[at] for row in page.rows]


@pytest.mark.usefixtures("every_page_deep")
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("low", "high"), RANGES)
async def test_pages_by_creation_are_slices_of_the_list(
    store: Store, filled: list[tuple[datetime, int]], *, low: Any, high: Any, descending: bool
) -> None:
    right = sorted(
        (moment, use) for moment, use in filled
        if (low is None or moment >= low) and (high is None or moment <= high)
    )  # fmt: skip
    ids = [use for _, use in (right[::-1] if descending else right)]
    order = order_by(Use, "CreatedOn", descending=descending)
    await pages(store, ListQuery(Use, tuple(between(low, high)), order, 1, 17), ids)


@pytest.mark.usefixtures("every_page_deep")
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_of_one_date_are_slices_of_the_list(
    store: Store, filled: list[tuple[datetime, int]], *, descending: bool
) -> None:
    day = (DAY, DAY + timedelta(days=1))
    right = sorted((moment, use) for moment, use in filled if day[0] <= moment < day[1])
    ids = [use for _, use in (right[::-1] if descending else right)]
    order = order_by(Use, "CreatedOn", descending=descending)
    await pages(
        store,
        ListQuery(Use, (where(Use, "CreatedOn", Comparison.BETWEEN, day),), order, 1, 17),
        ids,
    )


@pytest.mark.usefixtures("every_page_deep")
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("low", [None, DAY])
async def test_pages_by_id_are_slices_of_the_list(
    store: Store, filled: list[tuple[datetime, int]], *, low: Any, descending: bool
) -> None:
    ids = sorted((use for moment, use in filled if not low or moment >= low), reverse=descending)
    order = order_by(Use, "Id", descending=descending)
    await pages(store, ListQuery(Use, tuple(between(low, None)), order, 1, 17), ids)


@pytest.mark.usefixtures("every_page_deep")
async def test_pages_skip_gaps_between_ids(store: Store) -> None:
    """Given ids leave buckets of both widths empty."""
    spread = [1, 2, 3, 2**11 - 1, 2**11, 2**17 - 1, 2**17, 2**17 + 1, 2**40, 2**62]
    async with store.write_session() as unit:
        await unit.insert(JournalLine, [line(number, DAY, Id=number) for number in spread])
    for descending in (False, True):
        order = order_by(JournalLine, "Id", descending=descending)
        right = spread[::-1] if descending else spread
        await pages(store, ListQuery(JournalLine, (), order, 1, 2), right)


def line(number: int, created: datetime, **values: Any) -> dict[str, Any]:
    return stored_row(
        JournalLine, CreditId=1, CreditKind="money", Sequence=number, Kind="grant",
        EffectiveOn=DAY, RecordedOn=DAY, CreatedOn=created, **values,
    )  # fmt: skip
