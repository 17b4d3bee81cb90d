"""Sorting and filtering uses by denormalized or own values uses an index, and so do lists of the journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit as Credit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.entity import Column, Entity, entity_by_name
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order
from creditdesk.schema.repository import Store
from creditdesk.storage.dialects import SQLite
from creditdesk.storage.naming import column_name, is_casefolded, table_name
from creditdesk.storage.narrow_filters import NARROW_ROWS
from creditdesk.storage.queries import Statements
from tests.storage.denormalization_support import (
    INDEXED_COLUMNS,
    USES,
    RandomRecords,
)
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import RecordBuilder


@pytest.fixture(scope="module")
async def thousands(store: Store, builder: RecordBuilder, database: str) -> None:
    """Thousands of uses of each type over dozens of their sources."""
    random = Random(4)
    house = RandomRecords(store, builder, random)
    await house.create()
    for _ in range(3):
        for name in {name for name, _ in house.mutable_columns}:
            house.ids[name].append(await builder.create(entity_by_name(name)))
    async with store.write_session() as unit:
        for entity in USES:
            await unit.insert(entity, [house.use(entity) for _ in range(3000)])
    await run_sql_in_store(store, "ANALYZE")


@pytest.mark.parametrize(("entity", "column"), INDEXED_COLUMNS, ids=lambda x: getattr(x, "name", None))
async def test_sort_and_equality_use_the_index(
    store: Any, database: str, thousands: None, entity: type[Entity], column: Column
) -> None:
    name = column_name(column) + ("_fold" if is_casefolded(column) else "")
    found = await run_sql_in_store(store, "SELECT sql, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if database.startswith("sqlite")
        else "SELECT indexdef, indexname FROM pg_indexes",
    )  # fmt: skip
    wanted = [index for text, index in found if f"ON {'' if 'USING' not in text else 'public.'}{table_name(entity)} " in text and f"({name}" in text]  # fmt: skip
    assert wanted
    order = Order(column, descending=True)
    some = {"integer": 1, "number": 1, "boolean": True, "string": "x", "datetime": None}[column.field.json_type]
    test = Comparison.NULL if some is None else Comparison.EQUALS
    equal = (Filter(column, test, some),)
    by_id = Order(entity.meta().columns["Id"])
    for listing in (ListQuery(entity, (), order), ListQuery(entity, equal, by_id)):
        text, values, _ = store.statements.page(listing, 0, 25)
        plan = await explained(store, database, text, values)
        assert any(index in plan for index in wanted), plan


async def test_index_of_many_rows_is_not_used_beside_a_date(store: Any, database: str, thousands: None) -> None:
    columns = TimeUse.meta().columns
    day = datetime(2026, 3, 10, tzinfo=UTC)
    filters = (
        Filter(columns["BookingFromTime"], Comparison.BETWEEN, (day, day + timedelta(seconds=1))),
        Filter(columns["CoworkerExtraServiceIsFromTariff"], Comparison.EQUALS, True),
        Filter(columns["CreatedOn"], Comparison.AT_LEAST, day),
    )
    counted = store.statements.count(TimeUse, filters)
    plan = await explained(store, database, counted.text, counted.values)
    assert "booking_from_time_ix" in plan
    assert "BitmapAnd" not in plan
    assert "is_from_tariff" not in "\n".join(line for line in plan.splitlines() if "INDEX" in line.upper())


def latest_lines(order: str, *, descending: bool = False) -> ListQuery:
    columns = JournalLine.meta().columns
    own = Filter(columns["CoworkerId"], Comparison.EQUALS, 1)
    return ListQuery(JournalLine, (own,), Order(columns[order], descending=descending))


def overridden_lines() -> ListQuery:
    columns = JournalLine.meta().columns
    since = Filter(columns["RecordedOn"], Comparison.AT_LEAST, datetime(2026, 3, 10, tzinfo=UTC))
    return ListQuery(JournalLine, (Filter(columns["Override"], Comparison.EQUALS, True), since), Order(columns["Id"]))


def uncharged_bookings() -> ListQuery:
    columns, now = Booking.meta().columns, datetime(2026, 3, 10, tzinfo=UTC)
    filters = (
        *(Filter(columns[name], Comparison.EQUALS, False) for name in ("Invoiced", "Tentative")),
        Filter(columns["FromTime"], Comparison.BETWEEN, (now - timedelta(days=31), now)),
        Filter(columns["ToTime"], Comparison.AT_MOST, now),
    )
    return ListQuery(Booking, filters, Order(columns["FromTime"]))


@pytest.mark.parametrize(
    ("listing", "index", "definition"),
    [
        (latest_lines("RecordedOn", descending=True), "COVERING INDEX journal_line_customer_ix", "INCLUDE (recorded_on)"),
        (latest_lines("Id"), "COVERING INDEX journal_line_customer_ix", "(coworker_id NULLS FIRST, id)"),
        (overridden_lines(), "INDEX journal_line_in_question_ix", "WHERE ((override = true) OR"),
        (uncharged_bookings(), "INDEX booking_uncharged_ix", "WHERE ((invoiced = false) AND (tentative = false))"),
    ],
    ids=["latest lines", "first lines", "overrides", "uncharged bookings"],
)  # fmt: skip
async def test_rows_are_found_without_reading_the_others(
    store: Any, database: str, listing: ListQuery, index: str, definition: str
) -> None:
    text, values, _ = store.statements.page(listing, 0, 25)
    if database.startswith("sqlite"):
        assert (await explained(store, database, text, values)).count(index) >= 2
        return
    # What PostgreSQL chooses over a table without rows says nothing.
    name = index.rpartition(" ")[2]
    [(found,)] = await run_sql_in_store(store, f"SELECT indexdef FROM pg_indexes WHERE indexname = '{name}'")
    assert definition in found
    booleans = [each.value for each in listing.filters if isinstance(each.value, bool)]
    assert all(f" = {str(each).upper()}" in text for each in booleans)


async def test_the_rarer_of_two_dates_finds_the_rows(store: Any, database: str, thousands: None) -> None:
    columns = TimeUse.meta().columns
    long_ago = datetime(1999, 1, 1, tzinfo=UTC)
    always, never = (long_ago, long_ago + timedelta(days=99_999)), (long_ago, long_ago + timedelta(seconds=1))
    begins, ends = columns["BookingFromTime"], columns["BookingToTime"]
    async with store.read_session() as reading:
        for rare in (0, 1):
            spans = (never, always) if rare == 0 else (always, never)
            filters = (Filter(begins, Comparison.BETWEEN, spans[0]), Filter(ends, Comparison.BETWEEN, spans[1]))
            listing = ListQuery(TimeUse, filters, Order(columns["CreatedOn"]))
            probe = store.statements.narrow_search(listing).probe
            counting = probe.statement.bind(filters)
            [counts] = await reading.fetch(counting.text, counting.values)
            assert list(counts) == [0 if position == rare else NARROW_ROWS for position in (0, 1)]
            assert probe.narrowest(counts) == rare
            text, values, _ = store.statements.page(listing, 0, 25, by=rare)
            plan = await explained(store, database, text, values)
            indexes = ["booking_from_time_ix", "booking_to_time_ix"]
            assert indexes[rare] in plan, plan
            assert indexes[1 - rare] not in plan, plan


def narrow(entity: type[Entity], *filters: tuple[str, Comparison]) -> tuple[int, ...]:
    """The positions of the filters that are probed, or of the one that the page is looked for by."""
    meta = entity.meta()
    chosen = [Filter(meta.columns.get(name) or meta.filter_only[name], comparison) for name, comparison in filters]
    search = Statements(SQLite()).narrow_search(ListQuery(entity, tuple(chosen), Order(meta.columns["Id"])))
    if search.probe:
        return search.probe.positions
    return () if search.by is None else (search.by,)


def test_a_page_is_looked_for_by_filters_that_may_be_narrow() -> None:
    equals, span, part = Comparison.EQUALS, Comparison.BETWEEN, Comparison.CONTAINS
    location = ("CoworkerExtraServiceBusinessId", equals)
    begins, room = ("BookingFromTime", span), ("BookingResourceName", part)
    customer, used = ("CoworkerExtraServiceCoworkerId", equals), ("CreditUsed", equals)
    assert narrow(TimeUse, room, begins) == (1,)
    assert narrow(TimeUse, location, room) == (0,)
    assert narrow(TimeUse, used, room) == (0,)
    assert narrow(TimeUse, ("CreatedOn", span), location, begins, used) == (0, 2, 3)
    for alone in (room, location, customer, used, begins):
        assert narrow(TimeUse, alone) == ()
    assert narrow(TimeUse, customer, begins, room) == (), "a customer has few uses"
    assert narrow(TimeUse, location, begins) == (), "the date is narrower"
    assert narrow(TimeUse, location, ("CreatedOn", Comparison.AT_LEAST)) == (), "the counters know the total"


def test_a_bounded_date_is_looked_for_before_a_location() -> None:
    since = datetime(2026, 3, 10, tzinfo=UTC)
    week = (since, since + timedelta(days=7))
    valid, begins = Credit.meta().columns["ValidFrom"], Booking.meta().columns["FromTime"]
    at = Filter(Credit.meta().columns["BusinessId"], Comparison.EQUALS, 1)
    here = Filter(Booking.meta().filter_only["ResourceBusinessId"], Comparison.EQUALS, 1)
    edges = (Filter(begins, Comparison.AT_LEAST, week[0]), Filter(begins, Comparison.AT_MOST, week[1]))
    statements = Statements(SQLite())
    for entity, location, any_, late in (
        (Credit, at, "WHERE t.business_id = ", "WHERE +t.business_id = "),
        (Booking, here, "WHERE j1.business_id = ", "WHERE ifnull(j1.business_id, NULL) = "),
    ):
        assert any_ in statements.count(entity, (location,)).text
        named = Filter(valid if entity is Credit else begins, Comparison.BETWEEN, week)
        assert late in statements.count(entity, (location, named)).text, "its index is not used"
    assert "ifnull(" in statements.count(Booking, (here, *edges)).text
    assert "ifnull(" not in statements.count(Booking, (here, edges[0])).text, "years may lie behind a single edge"


def test_copies_from_beyond_a_joined_record_are_compared_there() -> None:
    columns = MoneyUse.meta().columns
    currency = Filter(columns["CoworkerBookingCreditBusinessCurrencyCode"], Comparison.EQUALS, "EUR")
    rest = Filter(columns["CoworkerBookingCreditRemainingCredit"], Comparison.EQUALS, 5)
    copy = "t.coworker_booking_credit_business_currency_code_fold"
    statements = Statements(SQLite())
    assert copy in statements.count(MoneyUse, (currency,)).text
    assert copy not in statements.count(MoneyUse, (rest, currency)).text, (
        "few credits have this rest, all uses a currency"
    )


async def explained(store: Any, database: str, text: str, values: list[Any]) -> str:
    if database.startswith("sqlite"):
        rows = store.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        return "\n".join(row[3] for row in rows)
    async with store.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *values))
