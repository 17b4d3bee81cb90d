"""Denormalized values equal their source, whatever changes and in whatever order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.spaces.booking import Booking
from creditdesk.schema.entity import Column, Entity
from creditdesk.schema.fields import Reference
from creditdesk.schema.repository import Insert, Store, Update
from creditdesk.storage.denormalization import denormalizations
from creditdesk.storage.naming import column_name, table_name
from tests.storage.denormalization_support import (
    DENORMALIZED_COLUMNS,
    DENORMALIZED_ENTITIES,
    USES,
    RandomRecords,
    assert_not_stale,
)
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import RecordBuilder, stored_row


def test_embedded_columns_of_uses_are_denormalized() -> None:
    for entity, spent in ((MoneyUse, "RemainingCredit"), (TimeUse, "RemainingUses")):
        shape = entity.meta()
        embedded = [c for c in (*shape.columns.values(), *shape.filter_only.values()) if c.path]
        assert [c.leaf for c in embedded if not c.indexed] == [spent]


@pytest.mark.parametrize("seed", range(3))
async def test_denormalized_values_stay_current_through_random_changes(
    store: Store, builder: RecordBuilder, seed: int
) -> None:
    house = RandomRecords(store, builder, Random(seed))
    await house.create()
    for _ in range(12):
        async with store.write_session() as unit:
            for _ in range(house.random.choice((1, 4, 10))):
                await house.step(unit)
            for history in USES:
                # A session sees its own changes in denormalized values too.
                await assert_not_stale(unit, history, house.random.sample(*two_of(house, history)))
    async with store.read_session() as reading:
        for entity in DENORMALIZED_ENTITIES:
            await assert_not_stale(reading, entity, house.ids[entity.__name__])


def two_of(house: RandomRecords, entity: type[Entity]) -> tuple[list[int], int]:
    ids = house.ids[entity.__name__]
    return ids, min(2, len(ids))


async def test_rollback_restores_denormalized_values(store: Store, builder: RecordBuilder) -> None:
    booking = await builder.create(Booking)
    use = await builder.create(MoneyUse, BookingId=booking)
    with pytest.raises(RuntimeError):
        async with store.write_session() as unit:
            await unit.update(Booking, [(booking, {"FromTime": None})])
            raise RuntimeError
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use])


async def test_bulk_inserts_have_denormalized_values(store: Store, builder: RecordBuilder) -> None:
    bookings = [await builder.create(Booking) for _ in range(3)]
    credit = await builder.create(CoworkerBookingCredit)
    rows = [stored_row(MoneyUse, CoworkerBookingCreditId=credit, BookingId=bookings[n % 3]) for n in range(1200)]
    async with store.write_session() as unit:
        ids = await unit.insert(MoneyUse, rows)
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, ids[::400])


@pytest.mark.parametrize("showing", [None, MoneyUse, TimeUse])
async def test_inserts_copy_changes_of_the_same_write(
    store: Store, builder: RecordBuilder, showing: type[Entity] | None
) -> None:
    money, time = (
        await builder.create(CoworkerBookingCredit),
        await builder.create(CoworkerExtraService),
    )
    async with store.write_session() as unit:
        ids = {entity: fresh for entity, [fresh] in (await unit.next_ids(dict.fromkeys(USES, 1))).items()}
        await unit.write(
            [
                Update(CoworkerBookingCredit, [(money, {"UpdatedBy": "a spend"})]),
                Update(CoworkerExtraService, [(time, {"UpdatedBy": "a spend"})]),
                Insert(MoneyUse, [stored_row(MoneyUse, Id=ids[MoneyUse], CoworkerBookingCreditId=money)]),
                Insert(TimeUse, [stored_row(TimeUse, Id=ids[TimeUse], CoworkerExtraServiceId=time)]),
            ],
            showing,
        )  # fmt: skip
    async with store.read_session() as reading:
        for entity in USES:
            await assert_not_stale(reading, entity, [ids[entity]])


@pytest.mark.parametrize(("entity", "column"), DENORMALIZED_COLUMNS, ids=lambda x: getattr(x, "name", None))
async def test_sql_cannot_make_a_copy_stale(
    store: Store, builder: RecordBuilder, database: str, entity: type[Entity], column: Column
) -> None:
    record_id, table, name = await builder.create(entity), table_name(entity), column_name(column)
    other = {"bigint": "-1", "timestamp with time zone": "now()", "boolean": "true"}
    value = "-1"
    if database.startswith("postgresql"):
        [(kind,)] = await run_sql_in_store(store, f"SELECT data_type FROM information_schema.columns WHERE table_name = '{table}' "
            f"AND column_name = '{name}'",
        )  # fmt: skip
        value = other.get(kind, "'untrue'")
    [(before,)] = await run_sql_in_store(store, f"SELECT {name} FROM {table} WHERE id = {record_id}")
    if before is True:
        value = "false"
    with pytest.raises(Exception, match="copies only what"):
        await run_sql_in_store(store, f"UPDATE {table} SET {name} = {value} WHERE id = {record_id}")  # fmt: skip
    await run_sql_in_store(store, f"UPDATE {table} SET {name} = {name} WHERE id = {record_id}")


async def test_spend_updates_no_use(store: Store, builder: RecordBuilder, database: str) -> None:
    credit = await builder.create(CoworkerBookingCredit, TotalCredit=10)
    use = await builder.create(MoneyUse, CoworkerBookingCreditId=credit)

    async def version() -> Any:
        if database.startswith("sqlite"):
            return store.connection.total_changes  # type: ignore[attr-defined]
        return await run_sql_in_store(store, f"SELECT xmin::text FROM {table_name(MoneyUse)} WHERE id = {use}")

    before = await version()
    async with store.write_session() as unit:
        await unit.update(CoworkerBookingCredit, [(credit, {"RemainingCredit": 5})])
    expected = before + 1 if database.startswith("sqlite") else before
    assert await version() == expected


def test_long_names_are_shortened_uniquely() -> None:
    from creditdesk.storage.naming import shortened_name

    long = [f"{'a_long_table_' * 5}{n}" for n in range(9)]
    assert len({shortened_name(name, "_follow") for name in long}) == len(long)
    assert all(len(shortened_name(name, "_follow") + "_follow") <= 63 for name in long)
    assert shortened_name("booking", "_follow") == "booking"


def test_distant_source_must_be_denormalized_on_the_way() -> None:
    from creditdesk.schema.entity import _REGISTRY
    from creditdesk.schema.fields import Embed

    try:

        class Shelf(Entity, area="spaces", plural="shelves"):
            Resource = Reference("Resource", embeds=(Embed("Business.Name", denormalized=True),))

        with pytest.raises(TypeError, match=r"Resource must copy Business\.Name"):
            denormalizations(Shelf)
    finally:
        del _REGISTRY["Shelf"]
