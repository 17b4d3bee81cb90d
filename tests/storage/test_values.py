"""Values read back exactly as inserted: amounts, datetimes, objects, links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.content.calendar_event import CalendarEvent
from creditdesk.entities.content.calendar_event_category import CalendarEventCategory
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.entities.sys.user import User
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import MAX_INTEGER
from creditdesk.schema.query import Comparison
from creditdesk.schema.repository import Store
from tests.storage.storage_contract import (
    insert_rows,
    matching_positions,
    order_by,
    sorted_positions,
    where,
    with_ids,
)
from tests.support.record_builder import RecordBuilder

AMOUNTS = [
    0, 1, -1, 10_000, 2**53, 2**53 + 1, -(2**53) - 1, MAX_INTEGER, MAX_INTEGER - 1,
    -MAX_INTEGER,
]  # fmt: skip


async def value(store: Store, entity: type[Entity], record_id: int, name: str) -> Any:
    async with store.read_session() as reading:
        record = await reading.get(entity, record_id)
    assert record is not None
    return record[name]


@pytest.mark.parametrize("amount", AMOUNTS)
async def test_amount_of_63_bits_is_exact(store: Store, builder: RecordBuilder, amount: int) -> None:
    business = await builder.shared_id("Business")
    ids = await insert_rows(
        store,
        TimePass,
        {"BusinessId": business, "Price": amount, "MinutesIncluded": amount},
        {"BusinessId": business, "Price": amount - 1 if amount > 0 else amount + 1},
    )
    kept = await value(store, TimePass, ids[0], "Price")
    assert (kept, type(kept)) == (amount, int)
    assert await value(store, TimePass, ids[0], "MinutesIncluded") == amount
    assert await matching_positions(store, TimePass, ids, where(TimePass, "Price", Comparison.EQUALS, amount)) == [0]
    assert 0 in await matching_positions(store, TimePass, ids, where(TimePass, "Price", Comparison.AT_LEAST, amount))
    assert 0 in await matching_positions(store, TimePass, ids, where(TimePass, "Price", Comparison.AT_MOST, amount))


async def test_amounts_sort_as_numbers(store: Store, builder: RecordBuilder) -> None:
    business = await builder.shared_id("Business")
    ids = await insert_rows(store, TimePass, *({"BusinessId": business, "Price": a} for a in AMOUNTS))
    expected = sorted(range(len(AMOUNTS)), key=lambda at: AMOUNTS[at])
    assert await sorted_positions(store, TimePass, ids, order_by(TimePass, "Price")) == expected


INSTANTS = [
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 3, 28, 20, 0, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 8, 27, 8, 39, 3, 214_034, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
async def test_datetime_keeps_microseconds_in_utc(store: Store, instant: datetime) -> None:
    [record_id] = await insert_rows(store, User, {"LastAccess": instant})
    kept = await value(store, User, record_id, "LastAccess")
    assert kept == instant
    assert kept.utcoffset() == timedelta(0)


async def test_datetimes_compare_across_time_zones(store: Store) -> None:
    ids = await insert_rows(store, User, *({"LastAccess": instant} for instant in INSTANTS))
    expected = sorted(range(len(INSTANTS)), key=lambda at: (INSTANTS[at], at))
    assert await sorted_positions(store, User, ids, order_by(User, "LastAccess")) == expected
    same = where(User, "LastAccess", Comparison.BETWEEN, (INSTANTS[0], INSTANTS[0] + timedelta(seconds=1)))
    assert await matching_positions(store, User, ids, same) == [0, 1, 2]
    for bound in INSTANTS:
        later = [at for at, instant in enumerate(INSTANTS) if instant >= bound]
        assert (
            await matching_positions(store, User, ids, where(User, "LastAccess", Comparison.AT_LEAST, bound)) == later
        )


AWKWARD = [
    "",
    " ",
    "null",
    "{a,b}",
    "\"'\\",
    "tab\tline\nreturn\r\x01\x7f",
    "É€😀\u2028",
    "\\u0041",
]


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
async def test_text_is_unchanged(store: Store, text: str) -> None:
    put_at_once, changed = await insert_rows(store, User, {"FullName": text}, {"FullName": "before"})
    async with store.write_session() as unit:
        await unit.update(User, [(changed, {"FullName": text})])
    assert await value(store, User, put_at_once, "FullName") == text
    assert await value(store, User, changed, "FullName") == text


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
async def test_updated_datetime_keeps_microseconds(store: Store, instant: datetime) -> None:
    ids = await insert_rows(store, User, {"LastAccess": INSTANTS[0]})
    async with store.write_session() as unit:
        await unit.update(User, [(ids[0], {"LastAccess": instant})])
    assert await value(store, User, ids[0], "LastAccess") == instant
    assert await matching_positions(store, User, ids, where(User, "LastAccess", Comparison.EQUALS, instant)) == [0]


@pytest.mark.parametrize("boolean", [True, False, None])
async def test_boolean_stays_boolean(store: Store, boolean: bool | None) -> None:
    [record_id] = await insert_rows(store, User, {"IsAdmin": boolean})
    assert await value(store, User, record_id, "IsAdmin") is boolean


async def test_object_is_unchanged(store: Store) -> None:
    fields = {"Data": [{"Name": "Größe", "Value": "12.50", "Type": "decimal"}], "Odd": [1, None]}
    [record_id] = await insert_rows(store, Currency, {"CustomFields": fields})
    assert await value(store, Currency, record_id, "CustomFields") == fields


async def test_collection_is_replaced_and_sorted(store: Store, builder: RecordBuilder) -> None:
    business = await builder.shared_id("Business")
    kinds = await insert_rows(store, ResourceType, *({"BusinessId": business} for _ in range(12)))
    credit = await builder.create(
        CoworkerBookingCredit,
        TotalCredit=1,
        RemainingCredit=1,
        ElegibleResourceTypes=(kinds[11], kinds[0], kinds[9]),
    )
    name = "ElegibleResourceTypes"
    kept = await value(store, CoworkerBookingCredit, credit, name)
    assert kept == (kinds[0], kinds[9], kinds[11])
    for after in [(kinds[3],), (), (kinds[4], kinds[3])]:
        async with store.write_session() as unit:
            await unit.update(CoworkerBookingCredit, [(credit, {name: after})])
        kept = await value(store, CoworkerBookingCredit, credit, name)
        assert kept == tuple(sorted(after))


async def test_collection_filter_matches_members(store: Store, builder: RecordBuilder) -> None:
    business = await builder.shared_id("Business")
    kinds = await insert_rows(store, ResourceType, *({"BusinessId": business} for _ in range(3)))
    ids = [
        await builder.create(CoworkerBookingCredit, TotalCredit=1, RemainingCredit=1, ElegibleResourceTypes=held)
        for held in [(), (kinds[0],), (kinds[0], kinds[1])]
    ]

    async def places(test: Comparison, wanted: object = None) -> list[int]:
        wanted_filter = where(CoworkerBookingCredit, "ElegibleResourceTypes", test, wanted)
        return await matching_positions(store, CoworkerBookingCredit, ids, wanted_filter)

    assert await places(Comparison.HAS_MEMBER, kinds[0]) == [1, 2]
    assert await places(Comparison.HAS_MEMBER, kinds[2]) == []
    assert await places(Comparison.OVERLAPS, (kinds[1], kinds[2])) == [2]
    assert await places(Comparison.NULL) == [0]
    assert await places(Comparison.NOT_NULL) == [1, 2]


async def test_inverse_collection_shares_its_links(store: Store, builder: RecordBuilder) -> None:
    business = await builder.shared_id("Business")
    [event] = await insert_rows(store, CalendarEvent, {"BusinessId": business})
    first, second = await insert_rows(
        store,
        CalendarEventCategory,
        {"BusinessId": business, "CalendarEvents": (event,)},
        {"BusinessId": business},
    )
    assert await value(store, CalendarEvent, event, "EventCategories") == (first,)
    async with store.write_session() as unit:
        await unit.update(CalendarEvent, [(event, {"EventCategories": (second,)})])
    assert await value(store, CalendarEventCategory, first, "CalendarEvents") == ()
    assert await value(store, CalendarEventCategory, second, "CalendarEvents") == (event,)
    held = where(CalendarEventCategory, "CalendarEvents", Comparison.HAS_MEMBER, event)
    assert await matching_positions(store, CalendarEventCategory, [first, second], held) == [1]
    async with store.write_session() as unit:
        await unit.update(CalendarEventCategory, [(second, {"CalendarEvents": ()})])
        await unit.delete(CalendarEvent, [event])


async def test_bulk_insert_keeps_every_row(store: Store) -> None:
    rows = [{"Name": f"n{i}", "Code": None if i % 3 else "C"} for i in range(1200)]
    ids = await insert_rows(store, Currency, *rows)
    assert ids == sorted(set(ids))
    async with store.read_session() as reading:
        records = await reading.find(Currency, (with_ids(Currency, ids),))
    assert [(r["Name"], r["Code"]) for r in records] == [(r["Name"], r["Code"]) for r in rows]


async def test_missing_reference_is_refused(store: Store) -> None:
    from creditdesk.schema.errors import DomainError

    with pytest.raises(DomainError):
        await insert_rows(store, Business, {"CurrencyId": 987654321})
