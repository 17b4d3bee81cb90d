"""A bulk load leaves what ordinary inserts leave: the same rows, indexes, foreign keys, triggers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as Use,
)
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.spaces.team import Team
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.errors import Conflict, StateConflict
from creditdesk.schema.query import Comparison, ListQuery
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.session import BaseWriteSession
from creditdesk.storage.sqlite import SQLiteStore
from tests.storage.snapshots import schema_objects
from tests.storage.storage_contract import insert_rows, order_by, where
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import NOW, RecordBuilder, stored_row

LOADED = (CoworkerBookingCredit, Use, Booking, Team)
MANY = 700
"""More rows than are inserted as arrays."""


async def load(store: Store, builder: RecordBuilder, count: int, **wrong: Any) -> None:
    """A credit, a booking with a name to copy, and `count` uses of them."""
    business, coworker = await builder.shared_id("Business"), await builder.shared_id("Coworker")
    room = await builder.create(Resource, Name="Großer Saal")
    async with store.bulk_load(LOADED) as unit:
        [credit] = await unit.insert(
            CoworkerBookingCredit,
            [
                stored_row(
                    CoworkerBookingCredit, BusinessId=business, CoworkerId=coworker,
                    Description="Loaded", TotalCredit=10**9, RemainingCredit=10**9,
                )
            ],
        )  # fmt: skip
        [booking] = await unit.insert(
            Booking,
            [stored_row(Booking, ResourceId=room, CoworkerId=coworker, FromTime=NOW, ToTime=NOW)],
        )
        values = {"CoworkerBookingCreditId": credit, "BookingId": booking, "CreditUsed": 5}
        rows = [stored_row(Use, **values) for _ in range(count)]
        rows[-1] |= wrong
        await unit.insert(Use, rows)
        await unit.insert(Team, [stored_row(Team, BusinessId=business, Name="Crew", TeamMembers=(coworker,))])


async def assert_loaded(store: Store) -> None:
    """Counters and denormalized values are correct."""
    [counted] = await run_sql_in_store(store, "SELECT count(*) FROM coworker_booking_credit_use_history")
    async with store.read_session() as reading:
        assert (await reading.count(Use),) == tuple(counted)
        assert await reading.counter_mismatches(Use) == []
        assert await reading.stale(Use, 0, 10) == []


async def test_bulk_load_restores_the_schema(store: Store, builder: RecordBuilder) -> None:
    before = await schema_objects(store)
    await load(store, builder, MANY)
    assert await schema_objects(store) == before
    await assert_loaded(store)


async def test_bulk_load_counts_existing_rows_once(store: Store, builder: RecordBuilder) -> None:
    uses = where(Use, "CreditUsed", Comparison.EQUALS, 6)
    credit = await builder.create(CoworkerBookingCredit)
    await insert_rows(store, Use, {"CoworkerBookingCreditId": credit, "CreditUsed": 6})
    await load(store, builder, 3)
    await insert_rows(store, Use, {"CoworkerBookingCreditId": credit, "CreditUsed": 6})
    await assert_loaded(store)
    async with store.read_session() as reading:
        assert await reading.count(Use, (uses,)) == 2


async def test_loaded_rows_have_denormalized_values(store: Store, builder: RecordBuilder) -> None:
    await load(store, builder, MANY)
    filters = (where(Use, "BookingResourceName", Comparison.EQUALS, "Großer Saal"),)
    async with store.read_session() as reading:
        page = await reading.page(ListQuery(Use, filters, order_by(Use, "Id"), 1, 10))
    assert page.total >= MANY


async def lookup_plan(session: BaseWriteSession, select: str, column: str, count: int) -> str:
    """The plan of a look-up of this many values of a column."""
    engine = session.dialect
    explain = "EXPLAIN" if engine.name == "postgresql" else "EXPLAIN QUERY PLAN"
    text = f"{explain} {select} WHERE {engine.in_array(column, engine.placeholder(1))}"
    rows = await session.fetch(text, (engine.array_parameter(range(count)),))
    return " ".join(str(row[-1]) for row in rows)


async def test_lookup_by_id_uses_index_during_bulk_load(store: Store) -> None:
    async with store.bulk_load(LOADED) as unit:
        # The table is empty when the plan is made, and the plan is used until the load ends.
        assert isinstance(unit, BaseWriteSession)
        plan = await lookup_plan(unit, "SELECT id FROM booking", "id", 1000)
    assert "booking" in plan
    assert "Seq Scan" not in plan
    assert "SCAN booking" not in plan


async def test_bulk_load_of_no_rows_leaves_later_lookups_their_index(store: Store) -> None:
    async with store.bulk_load((*LOADED, Hold)):
        pass
    async with store.write_session() as session:
        assert isinstance(session, BaseWriteSession)
        assert "hold_source_id_ix" in await lookup_plan(session, "SELECT id FROM hold", "source_id", 1)


async def test_update_during_bulk_load_reaches_denormalized_values(store: Store, builder: RecordBuilder) -> None:
    room = await builder.shared_id("Resource")
    async with store.bulk_load(LOADED) as unit:
        row = stored_row(Booking, ResourceId=room, FromTime=NOW, ToTime=NOW)
        [booking] = await unit.insert(Booking, [row])
        await unit.update(Booking, [(booking, {"ResourceId": None})])
    async with store.read_session() as reading:
        found = await reading.get(Booking, booking)
        assert found is not None
        assert found["ResourceName"] is None
        assert await reading.stale(Booking, 0, 10) == []


async def test_new_ids_follow_loaded_ids(store: Store, builder: RecordBuilder) -> None:
    async with store.bulk_load((Team,)) as unit:
        row = stored_row(Team, BusinessId=await builder.shared_id("Business"), Name="Far", Id=90_000)
        await unit.insert(Team, [row])
    assert await builder.create(Team) > 90_000


@pytest.mark.parametrize("others", [False, True])
async def test_sqlite_bulk_load_writes_no_wal_without_other_connections(tmp_path: Path, *, others: bool) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'books.db'}", migrated=True)
    beside = await open_store(f"sqlite:///{tmp_path / 'books.db'}") if others else None

    assert isinstance(store, SQLiteStore)
    execute = store.connection.execute

    def mode() -> str:
        return str(execute("PRAGMA journal_mode").fetchone()[0])

    async with store.bulk_load((Currency,)) as unit:
        assert mode() == ("wal" if others else "delete")
        await unit.insert(Currency, [stored_row(Currency, Code="CHF")])
    assert mode() == "wal"
    async with store.read_session() as reading:
        assert await reading.count(Currency) == 1
    for each in filter(None, (store, beside)):
        await each.close()


@pytest.fixture
async def nothing_changes(store: Store, builder: RecordBuilder) -> Callable[[], Awaitable[None]]:
    """Asserts that rows, schema and counters are as they were before."""
    for name in ("Business", "Coworker"):
        await builder.shared_id(name)
    before = await schema_objects(store)
    counts = await _counts(store)

    async def same() -> None:
        assert await schema_objects(store) == before
        assert await _counts(store) == counts
        await assert_loaded(store)

    return same


async def _counts(store: Store) -> list[int]:
    async with store.read_session() as reading:
        return [await reading.count(entity) for entity in LOADED]


async def test_interrupted_bulk_load_rolls_back(
    store: Store, builder: RecordBuilder, nothing_changes: Callable[[], Awaitable[None]]
) -> None:
    class Broke(Exception):
        pass

    async def broken() -> None:
        async with store.bulk_load(LOADED) as unit:
            row = {"BusinessId": await builder.shared_id("Business"), "Name": "Gone"}
            await unit.insert(Team, [stored_row(Team, **row) for _ in range(MANY)])
            raise Broke

    with pytest.raises(Broke):
        await broken()
    await nothing_changes()


async def test_bulk_load_with_missing_reference_rolls_back(
    store: Store, builder: RecordBuilder, nothing_changes: Callable[[], Awaitable[None]]
) -> None:
    with pytest.raises(StateConflict):
        await load(store, builder, MANY, EventAttendeeId=10**9)
    await nothing_changes()


async def test_bulk_load_with_duplicate_rolls_back(store: Store, builder: RecordBuilder) -> None:
    twice = "5e0ee0a8-93c5-4be1-9e4a-2f10bb9b2d8e"
    await builder.create(Use, UniqueId=twice)
    for name in ("Business", "Coworker"):
        await builder.shared_id(name)
    before, counts = await schema_objects(store), await _counts(store)
    with pytest.raises(Conflict):
        await load(store, builder, MANY, UniqueId=twice)
    assert (await schema_objects(store), await _counts(store)) == (before, counts)
    await assert_loaded(store)
