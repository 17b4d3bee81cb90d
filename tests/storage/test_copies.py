"""Copies of lent values are what they copy, whatever changes and in whatever order."""

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
from creditdesk.storage.denormalization import copies
from creditdesk.storage.naming import column_name, table_name
from tests.builders import Builder, stored_row
from tests.storage.copying import (
    COPYING,
    EVERY,
    USES,
    House,
    assert_true,
    plain_sql,
)


def test_every_lent_column_of_a_use_is_copied_and_indexed_but_what_each_spend_changes() -> None:
    for entity, spent in ((MoneyUse, "RemainingCredit"), (TimeUse, "RemainingUses")):
        shape = entity.shape()
        lent = [c for c in (*shape.columns.values(), *shape.filter_only.values()) if c.path]
        assert [c.leaf for c in lent if not c.indexed] == [spent]


@pytest.mark.parametrize("seed", range(3))
async def test_copies_stay_true_through_random_lives(
    store: Store, build: Builder, seed: int
) -> None:
    house = House(store, build, Random(seed))
    await house.open()
    for _ in range(12):
        async with store.writing() as unit:
            for _ in range(house.random.choice((1, 4, 10))):
                await house.step(unit)
            for entity in USES:
                # A unit sees its own changes in the copies, too.
                await assert_true(unit, entity, house.random.sample(*two_of(house, entity)))
    async with store.reading() as reading:
        for entity in COPYING:
            await assert_true(reading, entity, house.ids[entity.__name__])


def two_of(house: House, entity: type[Entity]) -> tuple[list[int], int]:
    ids = house.ids[entity.__name__]
    return ids, min(2, len(ids))


async def test_a_unit_that_fails_leaves_copies_as_they_were(store: Store, build: Builder) -> None:
    booking = await build.make(Booking)
    use = await build.make(MoneyUse, BookingId=booking)
    with pytest.raises(RuntimeError):
        async with store.writing() as unit:
            await unit.update(Booking, [(booking, {"FromTime": None})])
            raise RuntimeError
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use])


async def test_rows_in_bulk_bring_their_copies(store: Store, build: Builder) -> None:
    bookings = [await build.make(Booking) for _ in range(3)]
    credit = await build.make(CoworkerBookingCredit)
    rows = [
        stored_row(MoneyUse, CoworkerBookingCreditId=credit, BookingId=bookings[n % 3])
        for n in range(1200)
    ]
    async with store.writing() as unit:
        ids = await unit.insert(MoneyUse, rows)
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, ids[::400])


@pytest.mark.parametrize("showing", [None, MoneyUse, TimeUse])
async def test_uses_that_travel_with_changes_of_their_credits_bring_their_copies(
    store: Store, build: Builder, showing: type[Entity] | None
) -> None:
    money, time = await build.make(CoworkerBookingCredit), await build.make(CoworkerExtraService)
    async with store.writing() as unit:
        ids = {
            entity: fresh
            for entity, [fresh] in (await unit.next_ids(dict.fromkeys(USES, 1))).items()
        }
        await unit.write(
            [
                Update(CoworkerBookingCredit, [(money, {"UpdatedBy": "a spend"})]),
                Update(CoworkerExtraService, [(time, {"UpdatedBy": "a spend"})]),
                Insert(MoneyUse, [stored_row(MoneyUse, Id=ids[MoneyUse], CoworkerBookingCreditId=money)]),
                Insert(TimeUse, [stored_row(TimeUse, Id=ids[TimeUse], CoworkerExtraServiceId=time)]),
            ],
            showing,
        )  # fmt: skip
    async with store.reading() as reading:
        for entity in USES:
            await assert_true(reading, entity, [ids[entity]])


@pytest.mark.parametrize(("entity", "column"), EVERY, ids=lambda x: getattr(x, "name", None))
async def test_no_copy_is_made_untrue_by_plain_sql(
    store: Store, build: Builder, database: str, entity: type[Entity], column: Column
) -> None:
    record_id, table, name = await build.make(entity), table_name(entity), column_name(column)
    other = {"bigint": "-1", "timestamp with time zone": "now()", "boolean": "true"}
    value = "-1"
    if database.startswith("postgresql"):
        [(kind,)] = await plain_sql(
            store, database,
            f"SELECT data_type FROM information_schema.columns WHERE table_name = '{table}' "
            f"AND column_name = '{name}'",
        )  # fmt: skip
        value = other.get(kind, "'untrue'")
    [(before,)] = await plain_sql(
        store, database, f"SELECT {name} FROM {table} WHERE id = {record_id}"
    )
    if before is True:
        value = "false"
    with pytest.raises(Exception, match="copies only what"):
        await plain_sql(store, database, f"UPDATE {table} SET {name} = {value} WHERE id = {record_id}")  # fmt: skip
    await plain_sql(store, database, f"UPDATE {table} SET {name} = {name} WHERE id = {record_id}")


async def test_a_spend_that_lowers_a_credit_touches_no_use_of_it(
    store: Store, build: Builder, database: str
) -> None:
    credit = await build.make(CoworkerBookingCredit, TotalCredit=10)
    use = await build.make(MoneyUse, CoworkerBookingCreditId=credit)

    async def version() -> Any:
        if database.startswith("sqlite"):
            return store.connection.total_changes  # type: ignore[attr-defined]
        return await plain_sql(
            store, database, f"SELECT xmin::text FROM {table_name(MoneyUse)} WHERE id = {use}"
        )

    before = await version()
    async with store.writing() as unit:
        await unit.update(CoworkerBookingCredit, [(credit, {"RemainingCredit": 5})])
    expected = before + 1 if database.startswith("sqlite") else before
    assert await version() == expected


def test_a_name_that_an_engine_would_cut_off_is_one_of_its_own() -> None:
    from creditdesk.storage.naming import fitted

    long = [f"{'a_long_table_' * 5}{n}" for n in range(9)]
    assert len({fitted(name, "_follow") for name in long}) == len(long)
    assert all(len(fitted(name, "_follow") + "_follow") <= 63 for name in long)
    assert fitted("booking", "_follow") == "booking"


def test_what_lies_further_behind_must_be_copied_on_the_way() -> None:
    from creditdesk.schema.entity import _REGISTRY
    from creditdesk.schema.fields import Lend

    try:

        class Shelf(Entity, area="spaces", plural="shelves"):
            Resource = Reference(to="Resource", lends=(Lend(path="Business.Name", copied=True),))

        with pytest.raises(TypeError, match="Resource must copy Business.Name"):
            copies(Shelf)
    finally:
        del _REGISTRY["Shelf"]
