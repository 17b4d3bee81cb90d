"""Substring filters find the rows that a comparison of every row finds, by an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.conversions import fold_case
from creditdesk.schema.entity import Column, Entity, Record, entity_by_name
from creditdesk.schema.fields import Reference, Text
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.schema.repository import Store
from creditdesk.storage import session as storage_unit
from creditdesk.storage import text_filters
from creditdesk.storage.text_filters import indexed_text_filter
from tests.support.record_builder import RecordBuilder, stored_row

TEXTS = [
    column
    for entity in (MoneyUse, TimeUse)
    for column in (*entity.meta().denormalized_columns, *entity.meta().stored_columns)
    if isinstance(column.field, Text) and (column.indexed or column.field.partial_index)
]
NAMES = ("Großer Saal", "GROSSER SAAL II", "grosse Runde", "Nook", "50 %_", "", None)
NEEDLES = ("GROSSE", "ß", "saal", "%_", "o", "nothing like it", "")
DAY = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def common_texts() -> Iterator[None]:
    """Some texts are common at the size of these tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_filters, "COMMON_MATCHES", 6)
        yield


@pytest.fixture(scope="module")
async def uses(store: Store, builder: RecordBuilder, common_texts: None) -> None:
    """Uses of every source of an embedded text, and uses without any."""
    random = Random(6)
    rows: dict[type[Entity], list[Record]] = {MoneyUse: [], TimeUse: []}
    for column in TEXTS:
        for name in NAMES:
            shows = await showing(builder, column, name)
            rows[column.entity] += [shows for _ in range(3)]
    async with store.write_session() as unit:
        for entity, some in rows.items():
            some += [{} for _ in range(5)]
            random.shuffle(some)
            moments = (DAY + timedelta(hours=random.randrange(200)) for _ in some)
            await unit.insert(
                entity,
                [stored_row(entity, CreatedOn=moment, **row) for row, moment in zip(some, moments, strict=True)],
            )


async def showing(builder: RecordBuilder, column: Column, text: str | None) -> Record:
    """The reference by which a use embeds this text, with every record on the path."""
    if column.is_own:
        return {column.name: text}
    way: list[type[Entity]] = [column.entity]
    for relation in column.path:
        field = way[-1].fields[relation]
        assert isinstance(field, Reference)
        way.append(entity_by_name(field.to))
    made = await builder.create(way[-1], **{column.leaf: text})
    for entity, relation in zip(way[-2:0:-1], column.path[:0:-1], strict=True):
        made = await builder.create(entity, **{f"{relation}Id": made})
    return {f"{column.path[0]}Id": made}


def holds(record: Record, wanted_filter: Filter) -> bool:
    text = record[wanted_filter.column.name]
    return text is not None and fold_case(wanted_filter.value) in fold_case(text)


async def everything(store: Store, entity: type[Entity]) -> list[Record]:
    async with store.read_session() as reading:
        return await reading.find(entity)


def part(column: Column, text: str) -> Filter:
    return Filter(column, Comparison.CONTAINS, text)


@pytest.mark.usefixtures("uses")
@pytest.mark.parametrize("column", TEXTS, ids=lambda c: f"{c.entity.__name__}-{c.name}")
async def test_every_indexed_text_is_searchable(store: Store, column: Column) -> None:
    entity = column.entity
    shape, records = entity.meta(), await everything(store, entity)
    place = [each.name for each in shape.list_columns].index("Id")
    since = Filter(shape.columns["CreatedOn"], Comparison.AT_LEAST, DAY + timedelta(hours=70))
    orders = [
        Order(shape.columns[name], descending=descending)
        for name in ("Id", "CreatedOn", "UniqueId")
        for descending in (False, True)
    ]
    found = set()
    async with store.read_session() as reading:
        for needle in NEEDLES:
            wanted_filter = part(column, needle)
            for filters in ((wanted_filter,), (since, wanted_filter)):
                for order in orders:
                    right = [
                        record["Id"]
                        for record in sorted(
                            records,
                            key=lambda record: (record[order.column.name], record["Id"]),
                            reverse=order.descending,
                        )
                        if holds(record, wanted_filter) and (len(filters) == 1 or record["CreatedOn"] >= since.value)
                    ]
                    assert await reading.count(entity, filters) == len(right)
                    for number in (1, 2, 3):
                        page = await reading.page(ListQuery(entity, filters, order, number, 4))
                        assert page.total == len(right), (needle, filters)
                        rows = [row[place] for row in page.rows]
                        assert rows == right[(number - 1) * 4 : number * 4]
                    found.add(len(right))
    assert len(found) > 3


@pytest.mark.usefixtures("uses")
async def test_two_substring_filters_combine(store: Store) -> None:
    shape = MoneyUse.meta()
    room, guest = shape.columns["BookingResourceName"], shape.columns["EventAttendeeFullName"]
    async with store.write_session() as unit:
        [booked] = await unit.find(MoneyUse, (part(room, "saal"),), limit=1)
        [attended] = await unit.find(MoneyUse, (part(guest, "nook"),), limit=1)
        links = {name: row[name] for name, row in (("BookingId", booked), ("EventAttendeeId", attended))}
        await unit.insert(MoneyUse, [stored_row(MoneyUse, **links)])
    records = await everything(store, MoneyUse)
    for filters in ((part(room, "SAAL"), part(guest, "NOO")), (part(guest, "k"), part(room, "a"))):
        right = [r["Id"] for r in records if all(holds(r, each) for each in filters)]
        async with store.read_session() as reading:
            page = await reading.page(ListQuery(MoneyUse, filters, Order(shape.columns["Id"])))
        place = [each.name for each in shape.list_columns].index("Id")
        assert [row[place] for row in page.rows] == right
        assert page.total == len(right) > 0


@pytest.mark.usefixtures("uses")
async def test_deep_page_of_a_substring_filter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_unit, "DEEP_PAGE_OFFSET", 1)
    column = MoneyUse.meta().columns["BookingResourceName"]
    order = Order(MoneyUse.meta().columns["BookingResourceName"], descending=True)
    records = [r for r in await everything(store, MoneyUse) if holds(r, part(column, "o"))]
    right = sorted(records, key=lambda r: (fold_case(r["BookingResourceName"]), r["Id"]), reverse=True)
    place = [each.name for each in MoneyUse.meta().list_columns].index("Id")
    async with store.read_session() as reading:
        for number in range(1, len(right) // 2 + 2):
            page = await reading.page(ListQuery(MoneyUse, (part(column, "o"),), order, number, 2))
            rows = [row[place] for row in page.rows]
            assert rows == [r["Id"] for r in right[(number - 1) * 2 : number * 2]]
            assert page.total == len(right)
    assert len(right) > 6


def test_text_of_few_values_is_searched_first(store: Any) -> None:
    shape, dialect = MoneyUse.meta(), store.statements.dialect
    own, room, guest = (shape.columns[name] for name in ("Description", "BookingResourceName", "EventAttendeeFullName"))
    without_index = JournalLine.meta().columns["Reason"]

    def searched(*filters: Filter) -> int | None:
        found = indexed_text_filter(filters, [":p"] * len(filters), dialect)
        return None if found is None else found.position

    assert searched(part(without_index, "x"), Filter(room, Comparison.NULL)) is None
    assert searched(part(own, "x")) == 0
    assert searched(part(guest, "x"), part(shape.columns["UpdatedBy"], "y")) == 1
    assert searched(part(guest, "y"), part(own, "x")) == 0
    assert searched(part(guest, "x"), part(own, "y"), part(room, "z")) == 2


@pytest.mark.usefixtures("uses")
@pytest.mark.parametrize(
    ("name", "order", "index"),
    [
        ("BookingResourceName", "CreatedOn", "coworker_booking_credit_use_history_booking_resourc_"),
        ("BookingResourceName", "CreditUsed", "coworker_booking_credit_use_history_booking_resourc_"),
        ("EventAttendeeFullName", "CreatedOn", "coworker_booking_credit_use_history_event_atte"),
    ],
)
async def test_rows_of_matching_texts_are_found_by_an_index(store: Any, name: str, order: str, index: str) -> None:
    columns = MoneyUse.meta().columns
    query = ListQuery(
        MoneyUse,
        (
            part(columns[name], "saal"),
            Filter(columns["CreditUsed"], Comparison.AT_LEAST, 1),
            Filter(columns["CreatedOn"], Comparison.AT_LEAST, DAY),
            Filter(MoneyUse.meta().filter_only["CoworkerBookingCreditBusinessId"], Comparison.EQUALS, 1),
        ),
        Order(columns[order], descending=True),
    )
    text, values, _ = store.statements.page(query, 0, 25)
    if hasattr(store, "connection"):
        rows = store.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        plan = [row[3] for row in rows]
    else:
        async with store.pool.acquire() as connection, connection.transaction():
            # A few rows are read faster without an index.
            await connection.execute("SET LOCAL enable_seqscan = off")
            await connection.execute("SET LOCAL enable_bitmapscan = off")
            rows = await connection.fetch(f"EXPLAIN {text}", *values)
        plan = [row[0] for row in rows]
    scans = [
        line for line in plan if " AS t" in line or "SEARCH t" in line or "SCAN t" in line or "use_history t" in line
    ]
    assert any(index in line for line in plan), plan
    by_location = ("business_id=?", "Index Cond: (coworker_booking_credit_business_id")
    if columns[name].low_cardinality:
        assert not any(by in line for by in by_location for line in plan), "the index of texts reads fewer rows"
    assert not any("SCAN t " in line or "Seq Scan" in line for line in scans), plan
