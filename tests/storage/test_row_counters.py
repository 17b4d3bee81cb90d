"""Totals of the row counters equal the rows counted one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as Use,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.fields import DateTime
from creditdesk.schema.query import Comparison, ListQuery
from creditdesk.schema.repository import Store
from creditdesk.storage.codecs import from_microseconds, to_microseconds
from creditdesk.storage.dialects import SQLite
from creditdesk.storage.engine import open_store
from creditdesk.storage.naming import table_name
from creditdesk.storage.row_counters import CREATED_ON_BUCKETS, ID_BUCKETS
from tests.storage.storage_contract import insert_rows, order_by, where
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import RecordBuilder, stored_row

DAY = datetime(2026, 3, 10, tzinfo=UTC)
CREATED = [
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime(1969, 12, 31, 12, tzinfo=UTC),
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    *(DAY + timedelta(hours=7 * number) for number in range(30)),
    *(DAY + timedelta(days=number) for number in range(5)),
    *(DAY + timedelta(days=number, microseconds=-1) for number in range(5)),
    *(
        from_microseconds((to_microseconds(DAY) >> bits << bits) + step)
        for bits in CREATED_ON_BUCKETS.bucket_bits
        for step in (-1, 0, 1, 2 ** (bits - 1))
    ),
]


@pytest.fixture(scope="module")
async def filled(store: Store, builder: RecordBuilder) -> list[datetime]:
    """Rows created at these times, in transactions of several and of one."""
    business = await builder.shared_id("Business")
    rows = [
        {
            "BusinessId": business, "CreditId": 1, "CreditKind": "money", "Sequence": number,
            "Kind": "grant", "EffectiveOn": DAY, "RecordedOn": DAY, "CreatedOn": instant,
        }
        for number, instant in enumerate(CREATED, 1)
    ]  # fmt: skip
    await insert_rows(store, JournalLine, *rows[:20])
    for row in rows[20:]:
        await insert_rows(store, JournalLine, row)
    return CREATED


def test_bucket_widths_are_unique() -> None:
    widths = CREATED_ON_BUCKETS.bucket_bits + ID_BUCKETS.bucket_bits
    assert len(set(widths)) == len(widths)
    for measure in (CREATED_ON_BUCKETS, ID_BUCKETS):
        assert list(measure.bucket_bits) == sorted(measure.bucket_bits, reverse=True)


async def totals(store: Store, low: datetime | None, high: datetime | None) -> tuple[int, int]:
    filters = []
    if low:
        filters.append(where(JournalLine, "CreatedOn", Comparison.AT_LEAST, low))
    if high:
        filters.append(where(JournalLine, "CreatedOn", Comparison.AT_MOST, high))
    listing = ListQuery(JournalLine, tuple(filters), order_by(JournalLine, "Id"), 1, 1)
    async with store.read_session() as reading:
        page = await reading.page(listing)
        return page.total, await reading.count(JournalLine, filters)


async def test_ranges_are_counted(store: Store, filled: list[datetime]) -> None:
    random = Random(3)
    beside = (t + timedelta(microseconds=random.choice((-1, 1))) for t in filled[2:])
    edges = [None, *filled, *beside]
    ranges = [(random.choice(edges), random.choice(edges)) for _ in range(150)]
    for low, high in [(None, None), *ranges]:
        right = sum((low is None or t >= low) and (high is None or t <= high) for t in filled)
        assert await totals(store, low, high) == (right, right), (low, high)


async def test_date_is_counted(store: Store, filled: list[datetime]) -> None:
    for day in (DAY, DAY + timedelta(days=3), datetime(1969, 12, 31, tzinfo=UTC)):
        end = day + timedelta(days=1)
        async with store.read_session() as reading:
            found = await reading.count(JournalLine, (where(JournalLine, "CreatedOn", Comparison.BETWEEN, (day, end)),))
        assert found == sum(day <= t < end for t in filled) > 0


async def test_existing_rows_are_counted(store: Store, database: str, filled: list[datetime]) -> None:
    """As after an upgrade from a release that counted by day."""
    of_table = "" if database.startswith("sqlite") else " ON journal_line"
    await run_sql_in_store(
        store,
        *(f"DROP TRIGGER journal_line_counters_{event}{of_table}" for event in ("insert", "delete", "update")),
        "DROP TABLE journal_line_counters",
        "CREATE TABLE row_tally (table_name TEXT, day BIGINT, shard BIGINT, n BIGINT)",
        "DELETE FROM schema_version WHERE number > 1",
    )
    for _ in range(2):
        await (await open_store(database, migrated=True)).close()
        assert await totals(store, None, None) == (len(filled), len(filled))
        low = sum(t >= DAY for t in filled)
        assert await totals(store, DAY, None) == (low, low)


async def test_changed_and_deleted_rows_are_counted(store: Store, builder: RecordBuilder) -> None:
    """Guards refuse both, so they are dropped first."""
    credit = await builder.create(CoworkerBookingCredit)
    first = [stored_row(Use, CoworkerBookingCreditId=credit, CreatedOn=DAY) for _ in range(3)]
    async with store.write_session() as unit:
        ids = await unit.insert(Use, first)
    table = table_name(Use)
    later = DAY + timedelta(days=40)
    stored = SQLite().encode(DateTime(), later) if hasattr(store, "connection") else f"'{later}'"
    if hasattr(store, "connection"):
        unguarded = [f"DROP TRIGGER {table}_no_{event}" for event in ("update", "delete")]
    else:
        unguarded = [f"DROP TRIGGER {table}_no_{event} ON {table}" for event in ("update", "delete")]
    await run_sql_in_store(
        store,
        *unguarded,
        f"UPDATE {table} SET created_on = {stored}, id = id + 5000 WHERE id = {ids[0]}",
        f"DELETE FROM {table} WHERE id = {ids[1]}",
        f"UPDATE {table} SET description = 'said anew' WHERE id = {ids[2]}",
    )
    for low, right in ((None, 2), (later, 1)):
        filters = [where(Use, "CreatedOn", Comparison.AT_LEAST, low)] if low else []
        async with store.read_session() as reading:
            assert await reading.count(Use, filters) == right
    async with store.read_session() as reading:
        assert await reading.counter_mismatches(Use) == []


async def test_rolled_back_rows_are_not_counted(store: Store, filled: list[datetime]) -> None:
    before = await totals(store, None, None)
    with pytest.raises(RuntimeError):
        async with store.write_session() as unit:
            await unit.insert(JournalLine, [stored_row(JournalLine, CreditId=2, Sequence=1)])
            raise RuntimeError
    assert await totals(store, None, None) == before
