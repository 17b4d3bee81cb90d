"""Pages found by the row counters: few rows read, one snapshot, no waiting between writers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.query import Comparison, ListQuery, Order
from creditdesk.schema.repository import Store
from creditdesk.storage import session as storage_unit
from creditdesk.storage.codecs import to_microseconds
from creditdesk.storage.counted_queries import is_seekable
from creditdesk.storage.naming import table_name
from creditdesk.storage.postgresql import PostgreSQLStore
from creditdesk.storage.row_counters import CREATED_ON_BUCKETS
from creditdesk.storage.sqlite import SQLiteStore
from tests.storage.storage_contract import order_by, where
from tests.support.record_builder import stored_row

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 100_000
BURST = datetime(2025, 1, 1, tzinfo=UTC)
"""When half as many rows were posted, fifty in a second."""

Touched = Callable[[ListQuery], Awaitable[int]]


def at(number: int) -> datetime:
    return START + timedelta(minutes=10 * number)


async def test_page_and_total_agree_during_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of each number is created after those of lower numbers, and only ever appended, so a
    total tells which rows any page must hold.
    """
    monkeypatch.setattr(storage_unit, "DEEP_PAGE_OFFSET", 1)
    columns = [column.name for column in TimeUse.meta().list_columns]
    created = columns.index("CreatedOn")
    written = 0
    looks: set[int] = set()

    async def write() -> None:
        nonlocal written
        while written < 400:
            numbers = range(written, written + 4)
            async with store.write_session() as unit:
                for number in numbers:
                    row = stored_row(TimeUse, CreatedOn=at(number))
                    await unit.insert(TimeUse, [row])
                    await asyncio.sleep(0)
            written = numbers.stop

    async def read(order: Order, filters: tuple[Any, ...], number: int) -> None:
        while written < 400:
            async with store.read_session() as reading:
                page = await reading.page(ListQuery(TimeUse, filters, order, number, 7))
            await asyncio.sleep(0)
            start = (number - 1) * 7
            places = range(start, max(start, min(start + 7, page.total)))
            last = page.total - 1
            numbers = [last - place if order.descending else place for place in places]
            assert [row[created] for row in page.rows] == [at(n) for n in numbers]
            assert page.total % 4 == 0
            looks.add(page.total)

    since = (where(TimeUse, "CreatedOn", Comparison.AT_LEAST, START),)
    orders = [order_by(TimeUse, name, descending=down) for name in ("CreatedOn", "Id") for down in (False, True)]
    lists = [(order, (), 9) for order in orders] + [(order, since, 3) for order in orders[:2]]
    await asyncio.gather(write(), *(read(*each) for each in lists))
    assert len(looks) > 5


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_concurrent_writers_do_not_wait_for_counters(store: Store) -> None:
    """Two transactions count the same days of the same tables in opposite order."""
    counted = [(MoneyUse, at(0)), (TimeUse, at(0)), (MoneyUse, at(9999)), (JournalLine, at(0))]
    both = asyncio.Barrier(2)

    async def write(first: int) -> None:
        async with store.write_session() as unit:
            for entity, created in counted if first else counted[::-1]:
                # The same entry of one credit would wait for another reason.
                named = {"CreditId": first, "Sequence": 1} if entity is JournalLine else {}
                await unit.insert(entity, [stored_row(entity, CreatedOn=created, **named)])
                await both.wait()

    before = await totals(store)
    await asyncio.wait_for(asyncio.gather(write(0), write(1)), 20)
    assert [after - was for after, was in zip(await totals(store), before, strict=True)] == [
        4,
        2,
        2,
    ]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_shards_equal_concurrent_writers(store: Store) -> None:
    for number in range(5):
        async with store.write_session() as unit:
            row = stored_row(JournalLine, CreatedOn=at(50_000), CreditId=7, Sequence=number)
            await unit.insert(JournalLine, [row])
    assert isinstance(store, PostgreSQLStore)
    async with store.pool.acquire() as connection:
        shards = await connection.fetch(
            "SELECT shard, n FROM journal_line_counters WHERE location = 0 "
            f"AND bits = {CREATED_ON_BUCKETS.bucket_bits[-1]} AND bucket = "
            f"{int(at(50_000).timestamp() * 10**6) >> CREATED_ON_BUCKETS.bucket_bits[-1]}"
        )
    assert [tuple(row) for row in shards] == [(0, 5)]


async def totals(store: Store) -> list[int]:
    async with store.read_session() as reading:
        return [await reading.count(entity) for entity in (MoneyUse, TimeUse, JournalLine)]


@pytest.fixture(scope="module")
async def touched(store: Store) -> Touched:
    """How many rows the engine touches to answer a page, of a table of many rows ten minutes
    apart and of a burst. SQLite counts the steps of its machine instead, about ten for each row.
    """
    table = table_name(MoneyUse)
    columns = f"INSERT INTO {table} (id, unique_id, created_on, updated_on, credit_used) "
    ids_from = 1000
    starts = ((START, ROWS, timedelta(minutes=10)), (BURST, ROWS // 2, timedelta(milliseconds=20)))
    if isinstance(store, PostgreSQLStore):
        async with store.pool.acquire() as connection:
            for number, (start, rows, apart) in enumerate(starts):
                await connection.execute(
                    f"{columns} SELECT {ids_from} + {number * ROWS} + n, '{number} ' || n, m, m, {number * ROWS} + n "
                    f"FROM (SELECT n, timestamptz '{start}' + n * interval '{apart.total_seconds()} "
                    f"seconds' AS m FROM generate_series(1, {rows}) AS n)"
                )
            await connection.execute(f"VACUUM ANALYZE {table}, {table}_counters")
    else:
        assert isinstance(store, SQLiteStore)
        for number, (start, rows, apart) in enumerate(starts):
            first, step_microseconds = to_microseconds(start), apart // timedelta(microseconds=1)
            store.connection.execute(
                f"{columns} WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s "
                f"WHERE n < {rows}) SELECT {ids_from} + {number * ROWS} + n, '{number} ' || n, "
                f"{first} + n * {step_microseconds}, 0, {number * ROWS} + n FROM s"
            )

    async def count(listing: ListQuery) -> int:
        offset = (listing.page - 1) * listing.size
        assert isinstance(store, PostgreSQLStore | SQLiteStore)
        seekable = is_seekable(listing.entity, listing.filters, listing.order)
        text, values, _ = store.statements.page(listing, offset, listing.size, use_counters=seekable)
        if isinstance(store, PostgreSQLStore):
            async with store.pool.acquire() as connection:
                rows = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *values)
            return _rows_of(json.loads(rows[0][0])[0]["Plan"])
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 10

        store.connection.set_progress_handler(step, 10)
        store.connection.execute(text, values).fetchall()
        store.connection.set_progress_handler(None, 0)
        return steps // 10

    return count


def _rows_of(plan: dict[str, Any]) -> int:
    """The rows that the scans of a plan returned, and those that they filtered out."""
    scanned = 0
    if "Scan" in plan["Node Type"]:
        looked = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        scanned = int(looked * plan["Actual Loops"])
    return scanned + sum(_rows_of(inner) for inner in plan.get("Plans", ()))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", ["CreatedOn", "Id", "a range", "a burst"])
async def test_middle_page_reads_few_rows(touched: Touched, name: str, *, descending: bool) -> None:
    filters: tuple[Any, ...] = ()
    first, last = {
        "a range": (at(1234), at(ROWS - 1234)),
        "a burst": (BURST + timedelta(seconds=123), BURST + timedelta(seconds=ROWS // 100 - 123)),
    }.get(name, (None, None))
    if first and last:
        name = "CreatedOn"
        ends = (Comparison.AT_LEAST, first), (Comparison.AT_MOST, last)
        filters = tuple(where(MoneyUse, name, test, value) for test, value in ends)
    middle = ROWS // (200 if first and first < START else 50)
    order = order_by(MoneyUse, name, descending=descending)
    assert await touched(ListQuery(MoneyUse, filters, order, middle, 25)) < ROWS // 20


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["Id", "CreatedOn", "UpdatedOn"])
@pytest.mark.parametrize("lowest", [False, True])
async def test_narrow_range_reads_few_rows(touched: Touched, order: str, *, lowest: bool, descending: bool) -> None:
    """A range that few rows match, at either end of the order of the list."""
    ends = (Comparison.AT_MOST, 20) if lowest else (Comparison.AT_LEAST, ROWS + ROWS // 2 - 20)
    narrow = where(MoneyUse, "CreditUsed", *ends)
    listing = ListQuery(MoneyUse, (narrow,), order_by(MoneyUse, order, descending=descending))
    assert await touched(listing) < 1000


@pytest.mark.parametrize("name", ["Id", "CreatedOn"])
async def test_wide_range_adds_little_to_its_count(touched: Touched, name: str) -> None:
    """Two rows in three match. Counting may read all; the page is found among the first rows of the list."""
    wide = where(MoneyUse, "CreditUsed", Comparison.AT_MOST, ROWS)
    order = order_by(MoneyUse, name, descending=name == "CreatedOn")
    assert await touched(ListQuery(MoneyUse, (wide,), order)) < ROWS * 1.7
