"""Totals and pages by location are correct, also while credits change location."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit as Credit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as Use,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.errors import Conflict
from creditdesk.schema.query import Comparison, Filter, ListQuery
from creditdesk.schema.repository import CounterMismatch, Store
from creditdesk.storage import session as storage_unit
from creditdesk.storage.codecs import from_microseconds, to_microseconds
from creditdesk.storage.counted_queries import is_seekable
from creditdesk.storage.row_counters import LOCATION_BUCKET_BITS
from tests.storage.storage_contract import insert_rows, order_by, where
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import RecordBuilder, stored_row

LOCATION = "CoworkerBookingCreditBusinessId"
DAY = datetime(2026, 3, 10, tzinfo=UTC)
EDGE = from_microseconds(((to_microseconds(DAY) >> LOCATION_BUCKET_BITS[0]) + 1) << LOCATION_BUCKET_BITS[0])
"""The start of a bucket."""

MOMENTS = [
    *(end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max)),  # noqa: DTZ901
    *(datetime(1969, 12, 31, hour, tzinfo=UTC) for hour in range(0, 24, 5)),
    *(EDGE + timedelta(microseconds=step) for step in (-1, 0, 1)),
    *(DAY + timedelta(hours=7 * number) for number in range(60)),
]
Rows = list[tuple[datetime, int, int]]
"""Creation, id and location (0 for none) of each use."""


class LocationRecords:
    """Credits of several locations, one without a location, and their expected uses."""

    def __init__(self, store: Store, locations: list[int], credits_: dict[int, int]) -> None:
        self.store, self.locations, self.credits = store, locations, credits_
        self.uses: dict[int, tuple[datetime, int]] = {}

    async def draw(self, credit: int, *moments: datetime) -> None:
        rows = [{"CoworkerBookingCreditId": credit, "CreatedOn": moment} for moment in moments]
        for use, moment in zip(await insert_rows(self.store, Use, *rows), moments, strict=True):
            self.uses[use] = (moment, credit)

    async def move(self, credit: int, location: int) -> None:
        async with self.store.write_session() as unit:
            await unit.update(Credit, [(credit, {"BusinessId": location or None})])
        self.credits[credit] = location

    def rows(self) -> Rows:
        return sorted((moment, use, self.credits[c]) for use, (moment, c) in self.uses.items())


@pytest.fixture(scope="module")
async def api(store: Store, builder: RecordBuilder) -> LocationRecords:
    locations = [await builder.create_business(f"House {number}") for number in range(3)]
    credits_ = {}
    for location in [*locations, locations[0], 0]:
        credits_[await builder.create(Credit, BusinessId=location or None)] = location
    api = LocationRecords(store, locations, credits_)
    random = Random(7)
    for credit in credits_:
        await api.draw(credit, *random.sample(MOMENTS, 40))
    return api


def location_filter(*locations: int) -> Filter:
    if len(locations) == 1:
        return where(Use, LOCATION, Comparison.EQUALS, locations[0])
    return where(Use, LOCATION, Comparison.ONE_OF, locations)


def location_choices(api: LocationRecords) -> list[tuple[Filter, ...]]:
    """Location filters; the caller's may be combined with that of the scope."""
    first, second, third = api.locations
    some = [
        (first,),
        (second,),
        (first, third),
        (first, second, third),
        (0,),
        (-1,),
        (-1, 0, third),
    ]
    return [
        *((location_filter(*each),) for each in some),
        (location_filter(first, second), location_filter(second)),
        (location_filter(), location_filter(first)),
    ]


def matches(filters: tuple[Filter, ...], location: int) -> bool:
    """Whether the filters match this location; 0 is none."""
    return location > 0 and all(
        location == each.value if each.comparison is Comparison.EQUALS else location in each.value for each in filters
    )


async def assert_counters_correct(api: LocationRecords) -> None:
    """Every total, by ranges and locations, is the number of rows."""
    random, rows = Random(2), api.rows()
    moments = sorted({moment for moment, _, _ in rows})
    async with api.store.read_session() as reading:
        assert await reading.counter_mismatches(Use) == []
        for filters in location_choices(api):
            for _ in range(6):
                low, high = random.choice([None, *moments]), random.choice([None, *moments])
                range_ = [where(Use, "CreatedOn", Comparison.AT_LEAST, low)] if low else []
                range_ += [where(Use, "CreatedOn", Comparison.AT_MOST, high)] if high else []
                right = sum(
                    matches(filters, location) and (low is None or moment >= low) and (high is None or moment <= high)
                    for moment, _, location in rows
                )
                # The location filter may have any position among the filters.
                for ordered in ((*filters, *range_), (*range_, *filters)):
                    assert await reading.count(Use, ordered) == right, (filters, low, high)


async def test_ranges_of_locations_are_counted(
    api: LocationRecords,
) -> None:
    await assert_counters_correct(api)


async def test_location_totals_add_up(api: LocationRecords) -> None:
    async with api.store.read_session() as reading:
        apart = [await reading.count(Use, (location_filter(location),)) for location in api.locations]
        nowhere = await reading.count(Use, (where(Use, LOCATION, Comparison.NULL),))
        assert nowhere == 40
        assert sum(apart) == await reading.count(Use, (location_filter(*api.locations),))
        assert sum(apart) + nowhere == await reading.count(Use)


async def test_date_of_a_location_is_counted(api: LocationRecords) -> None:
    span = (DAY + timedelta(days=1), DAY + timedelta(days=4))
    location = api.locations[0]
    right = sum(span[0] <= m < span[1] and at == location for m, _, at in api.rows())
    date = where(Use, "CreatedOn", Comparison.BETWEEN, span)
    async with api.store.read_session() as reading:
        for filters in ((date, location_filter(location)), (location_filter(location), date)):
            assert await reading.count(Use, filters) == right > 0


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("low", [None, EDGE, DAY + timedelta(hours=8)])
async def test_pages_of_a_location_are_slices_of_the_list(
    api: LocationRecords,
    monkeypatch: pytest.MonkeyPatch,
    *,
    low: datetime | None,
    descending: bool,
) -> None:
    monkeypatch.setattr(storage_unit, "DEEP_PAGE_OFFSET", 1)
    order = order_by(Use, "CreatedOn", descending=descending)
    range_ = (where(Use, "CreatedOn", Comparison.AT_LEAST, low),) if low else ()
    place = [column.name for column in Use.meta().list_columns].index("Id")
    for filters in location_choices(api):
        right = [
            use
            for moment, use, location in api.rows()[:: -1 if descending else 1]
            if matches(filters, location) and (low is None or moment >= low)
        ]
        for number in range(1, len(right) // 7 + 3):
            async with api.store.read_session() as reading:
                page = await reading.page(ListQuery(Use, (*range_, *filters), order, number, 7))
            assert page.total == len(right)
            assert [row[place] for row in page.rows] == right[(number - 1) * 7 : number * 7]


async def test_pages_of_locations_by_id_are_slices_of_the_list(api: LocationRecords) -> None:
    place = [column.name for column in Use.meta().list_columns].index("Id")
    for filters in location_choices(api):
        for descending in (False, True):
            right = sorted(
                (use for _, use, location in api.rows() if matches(filters, location)),
                reverse=descending,
            )
            order = order_by(Use, "Id", descending=descending)
            async with api.store.read_session() as reading:
                for number in (1, 2, 4):
                    page = await reading.page(ListQuery(Use, filters, order, number, 7))
                    assert page.total == len(right)
                    assert [row[place] for row in page.rows] == right[(number - 1) * 7 : number * 7]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("name", "second"), [("Id", "id>?"), ("CreatedOn", "created_on")])
async def test_several_locations_use_the_index_in_query_order(api: Any, name: str, second: str) -> None:
    """One index by location is sorted by Id, one by CreatedOn; either could be used."""
    listing = ListQuery(Use, (location_filter(*api.locations),), order_by(Use, name, descending=True))
    text, values, _ = api.store.statements.page(listing, 0, 25)
    plan = api.store.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
    walked = next(row[3] for row in plan if "coworker_booking_credit_business_id=?" in row[3])
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
    sql = dict(api.store.connection.execute(indexes))
    index = next(index for index in sql if f" {index} " in walked)
    assert second in (walked if name == "Id" else sql[index])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("narrow", ["CoworkerBookingCreditCoworkerId", "CoworkerBookingCreditId", "BookingId"])
async def test_customer_index_is_preferred_to_location_index(api: Any, narrow: str) -> None:
    """The location's index has the order of the query, but a thousand times the rows."""
    since = Filter(Use.meta().columns["CreatedOn"], Comparison.AT_LEAST, DAY)
    filters = (where(Use, narrow, Comparison.EQUALS, 1), location_filter(api.locations[0]), since)
    listing = ListQuery(Use, filters, order_by(Use, "CreatedOn", descending=True))
    text, values, _ = api.store.statements.page(listing, 0, 25)
    plan = api.store.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
    found = [row[3] for row in plan if "SEARCH t USING" in row[3] and "PRIMARY" not in row[3]]
    assert found
    assert not any("coworker_booking_credit_business_id=?" in each for each in found)


def test_pages_of_one_location_by_creation_are_seekable() -> None:
    created, identity = order_by(Use, "CreatedOn"), order_by(Use, "Id")
    assert is_seekable(Use, (location_filter(1),), created)
    assert not is_seekable(Use, (location_filter(1, 2),), created)
    assert not is_seekable(Use, (location_filter(1),), identity)


async def test_journal_line_counts_at_its_own_location(store: Store, builder: RecordBuilder) -> None:
    here, there = [await builder.create_business(name) for name in ("Here", "There")]
    lines = [
        stored_row(JournalLine, BusinessId=business, CreditId=number, Sequence=1)
        for number, business in enumerate([here, here, there], 1)
    ]
    async with store.write_session() as unit:
        await unit.insert(JournalLine, lines)
    async with store.read_session() as reading:
        totals = [
            await reading.count(JournalLine, (where(JournalLine, "BusinessId", Comparison.EQUALS, each),))
            for each in (here, there)
        ]
        assert totals == [2, 1]
        assert await reading.counter_mismatches(JournalLine) == []


# Credits that change location --------------------------------------------------------------------


async def test_uses_count_at_the_new_location_of_their_credit(api: LocationRecords) -> None:
    random = Random(11)
    for step in range(12):
        credit = random.choice(list(api.credits))
        await api.move(credit, random.choice([*api.locations, 0]))
        if step % 3 == 0:
            await api.draw(credit, *random.sample(MOMENTS, 5))
        await assert_counters_correct(api)


async def test_failed_move_changes_no_counter(api: LocationRecords) -> None:
    credit = next(iter(api.credits))
    with pytest.raises(RuntimeError):
        async with api.store.write_session() as unit:
            other = next(at for at in api.locations if at != api.credits[credit])
            await unit.update(Credit, [(credit, {"BusinessId": other})])
            raise RuntimeError
    await assert_counters_correct(api)


@pytest.mark.parametrize("first", ["the use", "the move"])
async def test_use_inserted_during_a_change_of_location(
    api: LocationRecords, builder: RecordBuilder, first: str
) -> None:
    here, there = api.locations[:2]
    credit = await builder.create(Credit, BusinessId=here)
    begun, go = asyncio.Event(), asyncio.Event()
    kept: list[int] = []

    async def draw(unit: Any) -> None:
        row = stored_row(Use, CoworkerBookingCreditId=credit, CreatedOn=EDGE)
        kept.extend(await unit.insert(Use, [row]))

    async def move(unit: Any) -> None:
        await unit.update(Credit, [(credit, {"BusinessId": there})])

    async def carry_out(work: Any, *, waits: bool) -> None:
        async with api.store.write_session() as unit:
            await work(unit)
            if waits:
                begun.set()
                await asyncio.wait_for(go.wait(), 10)

    works = (draw, move) if first == "the use" else (move, draw)
    leading = asyncio.create_task(carry_out(works[0], waits=True))
    await begun.wait()
    following = asyncio.create_task(carry_out(works[1], waits=False))
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(leading, following)
    api.credits[credit] = there
    api.uses[kept[0]] = (EDGE, credit)
    await assert_counters_correct(api)


@pytest.mark.parametrize("seed", range(5))
async def test_concurrent_uses_and_moves_keep_counters_correct(
    api: LocationRecords, builder: RecordBuilder, seed: int
) -> None:
    credits_ = [await builder.create(Credit, BusinessId=api.locations[0]) for _ in range(3)]

    async def draw(number: int) -> None:
        random = Random(100 * seed + number)
        for _ in range(8):
            chosen = sorted(random.sample(credits_, 2))
            moments = random.sample(MOMENTS, 2)
            rows = [
                {"CoworkerBookingCreditId": credit, "CreatedOn": moment, "UniqueId": str(uuid4())}
                for credit, moment in zip(chosen, moments, strict=True)
            ]
            try:
                ids = await insert_rows(api.store, Use, *rows)
            except Conflict:
                continue
            for use, moment, credit in zip(ids, moments, chosen, strict=True):
                api.uses[use] = (moment, credit)

    async def move(number: int) -> None:
        random = Random(100 * seed + number)
        for _ in range(8):
            with suppress(Conflict):
                await api.move(random.choice(credits_), random.choice(api.locations))

    await asyncio.gather(*(draw(n) for n in range(4)), *(move(n) for n in range(10, 13)))
    async with api.store.read_session() as reading:
        found = await reading.get_many(Credit, credits_)
    api.credits |= {credit: record["BusinessId"] for credit, record in found.items()}
    await assert_counters_correct(api)


async def test_changed_counter_is_reported(api: LocationRecords) -> None:
    here = api.locations[0]
    moment, _, _ = next(row for row in api.rows() if row[0] > DAY and row[2] == here)
    bucket = to_microseconds(moment) >> LOCATION_BUCKET_BITS[0]
    text = (
        "UPDATE coworker_booking_credit_use_history_counters SET n = n + 2 "
        f"WHERE bits = {LOCATION_BUCKET_BITS[0]} AND location = {here} AND bucket = {bucket} AND shard = 0"
    )
    await run_sql_in_store(api.store, text)
    begins = from_microseconds(bucket << LOCATION_BUCKET_BITS[0])
    right = sum(at == here and to_microseconds(m) >> LOCATION_BUCKET_BITS[0] == bucket for m, _, at in api.rows())
    async with api.store.read_session() as reading:
        assert await reading.counter_mismatches(Use) == [CounterMismatch("CreatedOn", begins, here, right + 2, right)]
