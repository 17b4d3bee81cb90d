"""Copies of lent values are what they copy, whatever changes and in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from builders import Builder, sample, stored_row
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.catalog import CATALOG
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Column, Entity, Record, entity_named
from creditdesk.schema.kinds import Reference
from creditdesk.schema.listing import Filter, Listing, Order, Test
from creditdesk.schema.refusals import Conflict
from creditdesk.schema.store import Insert, Reading, Store, Update
from creditdesk.storage.copies import copies
from creditdesk.storage.naming import column_name, is_folded, table_name
from storage.promise import among

COPYING = tuple(entity for entity in CATALOG if entity.shape().copied)
USES = (MoneyUse, TimeUse)
EVERY = [(entity, column) for entity in COPYING for column in entity.shape().copied]
INDEXED = [(entity, column) for entity, column in EVERY if column.indexed]


def test_every_lent_column_of_a_use_is_copied_and_indexed_but_what_each_spend_changes() -> None:
    for entity, spent in ((MoneyUse, "RemainingCredit"), (TimeUse, "RemainingUses")):
        shape = entity.shape()
        lent = [c for c in (*shape.columns.values(), *shape.filter_only.values()) if c.path]
        assert [c.leaf for c in lent if not c.indexed] == [spent]


# What a copy should be -------------------------------------------------------------------------


async def lent(reading: Reading, record: Record, column: Column) -> Any:
    """The value at the end of a column's path, walked record by record."""
    entity: type[Entity] = column.entity
    for relation in column.path:
        field = entity.fields[relation]
        assert isinstance(field, Reference)
        linked = record[f"{relation}Id"]
        entity = entity_named(field.to)
        found = await reading.get(entity, linked) if linked else None
        if found is None:
            return None
        record = found
    return record[column.leaf]


async def assert_true(reading: Reading, entity: type[Entity], ids: list[int]) -> None:
    """Every copy of these records is shown, and found by filters, as what it copies."""
    for record in (await reading.many(entity, ids)).values():
        for column in entity.shape().copied:
            right = await lent(reading, record, column)
            if column.shown:
                assert record[column.name] == right, (entity.__name__, column.name)
            this = Filter(entity.shape().columns["Id"], Test.IS, record["Id"])
            test = Filter(column, Test.NULL if right is None else Test.IS, right)
            assert await reading.count(entity, (this, test)) == 1, (entity.__name__, column.name)
    assert await reading.untrue(entity, 0, 10) == []


# Random lives ----------------------------------------------------------------------------------


class House:
    """A few records of everything that uses copy from, and whatever may change about them."""

    def __init__(self, store: Store, build: Builder, random: Random) -> None:
        self.store, self.build, self.random = store, build, random
        self.ids: dict[str, list[int]] = {}
        self.changes = sorted(set(self._changes()))

    @staticmethod
    def _changes() -> Any:
        """(entity, column) of every link and every value on the way from a use to what it copies."""
        for entity, column in EVERY:
            source = entity
            for relation in column.path:
                if source not in USES:
                    yield source.__name__, f"{relation}Id"
                field = source.fields[relation]
                assert isinstance(field, Reference)
                source = entity_named(field.to)
            if column.leaf != "Id":
                yield source.__name__, column.leaf

    async def open(self) -> None:
        for name in {name for name, _ in self.changes} | {"Coworker"}:
            self.ids[name] = [await self.build.make(entity_named(name)) for _ in range(3)]
        for entity in USES:
            self.ids[entity.__name__] = []

    def value(self, entity: type[Entity], name: str) -> Any:
        column = entity.shape().columns[name]
        if self.random.random() < 0.15:
            return None
        if isinstance(column.kind, Reference):
            return self.random.choice(self.ids[column.kind.to])
        return column.kind.read(sample(column.kind, self.random.choice(("Straße ", "ÉCOLE "))))

    def use(self, entity: type[Entity]) -> Record:
        links = {
            f"{relation}Id": self.value(entity, f"{relation}Id")
            for relation in {column.path[0] for column in entity.shape().copied}
        }
        return stored_row(entity, **links, CreditUsed=1)

    async def step(self, unit: Any) -> None:
        if self.random.random() < 0.3:
            entity = self.random.choice(USES)
            uses = [self.use(entity) for _ in range(self.random.choice((1, 3)))]
            self.ids[entity.__name__] += await unit.insert(entity, uses)
            return
        name, column = self.random.choice(self.changes)
        entity = entity_named(name)
        several = self.random.sample(self.ids[name], self.random.choice((1, 2)))
        await unit.update(entity, [(i, {column: self.value(entity, column)}) for i in several])


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


# Beside one another ----------------------------------------------------------------------------

Change = Callable[[Any, dict[str, int]], Awaitable[None]]


def change(entity: type[Entity], name: str, value: Any) -> Change:
    async def carry_out(unit: Any, ids: dict[str, int]) -> None:
        new = ids[value] if isinstance(value, str) and value in ids else value
        await unit.update(entity, [(ids[entity.__name__], {name: new})])

    return carry_out


CHANGES = {
    "a booking is moved to another resource": change(Booking, "ResourceId", "Other"),
    "a booking gets a time": change(Booking, "ToTime", None),
    "a resource is renamed": change(Resource, "Name", "renamed"),
    "a credit is described anew": change(CoworkerBookingCredit, "Description", "anew"),
    "a currency is renamed": change(Currency, "Code", "NEW"),
    "an attendee is corrected": change(EventAttendee, "FullName", "corrected"),
}


async def sources(store: Store, build: Builder) -> dict[str, int]:
    """One of each source, linked with one another and with nothing else."""
    ids = {"Currency": await build.make(Currency)}
    ids["Business"] = await build.make(entity_named("Business"), CurrencyId=ids["Currency"])
    ids["Resource"], ids["Other"] = await build.make(Resource), await build.make(Resource)
    ids["Booking"] = await build.make(Booking, ResourceId=ids["Resource"])
    ids["EventAttendee"] = await build.make(EventAttendee)
    ids["CoworkerBookingCredit"] = await build.make(
        CoworkerBookingCredit, BusinessId=ids["Business"]
    )
    return ids


def new_use(ids: dict[str, int]) -> Record:
    links = ("Booking", "EventAttendee", "CoworkerBookingCredit")
    return stored_row(MoneyUse, CreditUsed=1, **{f"{name}Id": ids[name] for name in links})


async def unit_of(
    store: Store, work: Callable[[Any], Awaitable[Any]], done: asyncio.Event, go: asyncio.Event
) -> Any:
    """A unit that has done its work and commits when it is told to."""
    async with store.writing() as unit:
        result = await work(unit)
        done.set()
        await asyncio.wait_for(go.wait(), 10)
    return result


@pytest.mark.parametrize("what", CHANGES)
async def test_a_use_that_is_written_while_its_source_changes(
    store: Store, build: Builder, what: str
) -> None:
    ids = await sources(store, build)
    written, go = asyncio.Event(), asyncio.Event()
    use = asyncio.create_task(
        unit_of(store, lambda unit: unit.insert(MoneyUse, [new_use(ids)]), written, go)
    )
    await written.wait()

    async def change_it() -> None:
        async with store.writing() as unit:
            await CHANGES[what](unit, ids)

    changing = asyncio.create_task(change_it())
    await asyncio.sleep(0.2)
    go.set()
    [[use_id], _] = await asyncio.gather(use, changing)
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use_id])


@pytest.mark.parametrize("what", CHANGES)
async def test_a_source_that_changes_while_a_use_is_written(
    store: Store, build: Builder, database: str, what: str
) -> None:
    ids = await sources(store, build)
    changed, go = asyncio.Event(), asyncio.Event()
    changing = asyncio.create_task(
        unit_of(store, lambda unit: CHANGES[what](unit, ids), changed, go)
    )
    await changed.wait()

    async def write_it() -> list[int]:
        async with store.writing() as unit:
            return await unit.insert(MoneyUse, [new_use(ids)])

    use = asyncio.create_task(write_it())
    one_writer = database.startswith("sqlite")
    _, waiting = await asyncio.wait([use], timeout=0.2 if one_writer else 5)
    go.set()
    [[use_id], _] = await asyncio.gather(use, changing)
    # Where several write at once, a spend waits for no one who changes a source.
    assert bool(waiting) == one_writer
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use_id])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["an insert", "a new link"])
async def test_who_waits_for_a_change_to_be_committed_copies_what_it_left(
    store: Store, build: Builder, how: str
) -> None:
    """The change has done all but commit, so nothing of it comes after what is written now."""
    ids = await sources(store, build)
    elsewhere = await build.make(Booking)
    changed, go = asyncio.Event(), asyncio.Event()

    async def change_it(unit: Any) -> None:
        await CHANGES["a resource is renamed"](unit, ids)
        await unit.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    async def write_it() -> list[int]:
        async with store.writing() as unit:
            if how == "an insert":
                return await unit.insert(Booking, [stored_row(Booking, ResourceId=ids["Resource"])])
            await unit.update(Booking, [(elsewhere, {"ResourceId": ids["Resource"]})])
            return [elsewhere]

    changing = asyncio.create_task(unit_of(store, change_it, changed, go))
    await changed.wait()
    writing = asyncio.create_task(write_it())
    _, waiting = await asyncio.wait([writing], timeout=0.5)
    assert waiting
    go.set()
    booking, _ = await asyncio.gather(writing, changing)
    async with store.reading() as reading:
        await assert_true(reading, Booking, booking)


async def test_a_source_that_changes_between_the_copy_and_the_row(
    store: Store, build: Builder
) -> None:
    """A use has copied its booking, and waits to be written until the booking was changed."""
    ids, others = await sources(store, build), await sources(store, build)
    same = new_use(ids)["UniqueId"]
    first, go = asyncio.Event(), asyncio.Event()

    async def stand_in_the_way() -> None:
        async with store.writing() as unit:
            await unit.insert(MoneyUse, [{**new_use(others), "UniqueId": same}])
            first.set()
            await asyncio.wait_for(go.wait(), 10)
            raise RuntimeError

    async def write_it() -> list[int]:
        async with store.writing() as unit:
            return await unit.insert(MoneyUse, [{**new_use(ids), "UniqueId": same}])

    async def change_it() -> None:
        async with store.writing() as unit:
            await CHANGES["a booking gets a time"](unit, ids)

    before = asyncio.create_task(stand_in_the_way())
    await first.wait()
    use = asyncio.create_task(write_it())
    await asyncio.sleep(0.2)
    changing = asyncio.create_task(change_it())
    await asyncio.sleep(0.2)
    go.set()
    [_, [use_id], _] = await asyncio.gather(before, use, changing, return_exceptions=True)
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use_id])


async def test_a_booking_that_is_moved_to_a_resource_while_that_is_renamed(
    store: Store, build: Builder
) -> None:
    ids = await sources(store, build)
    async with store.writing() as unit:
        [use] = await unit.insert(MoneyUse, [new_use(ids)])
    moved, go = asyncio.Event(), asyncio.Event()
    move = CHANGES["a booking is moved to another resource"]
    moving = asyncio.create_task(unit_of(store, lambda unit: move(unit, ids), moved, go))
    await moved.wait()

    async def rename() -> None:
        async with store.writing() as unit:
            await unit.update(Resource, [(ids["Other"], {"Name": "renamed meanwhile"})])

    renaming = asyncio.create_task(rename())
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(moving, renaming)
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use])
        await assert_true(reading, Booking, [ids["Booking"]])


async def test_a_spend_and_a_moved_booking_that_draws_on_the_same_credit_do_not_deadlock(
    store: Store, build: Builder
) -> None:
    """The spend holds the credit and copies the booking; the move holds the booking, then both."""
    ids = await sources(store, build)
    locked, moved = asyncio.Event(), asyncio.Event()

    async def spend() -> list[int]:
        async with store.writing() as unit:
            await unit.lock(CoworkerBookingCredit, [ids["CoworkerBookingCredit"]])
            locked.set()
            await asyncio.wait([asyncio.create_task(moved.wait())], timeout=0.3)
            return await unit.insert(MoneyUse, [new_use(ids)])

    async def move() -> None:
        await locked.wait()
        async with store.writing() as unit:
            await CHANGES["a booking gets a time"](unit, ids)
            moved.set()
            await unit.lock(CoworkerBookingCredit, [ids["CoworkerBookingCredit"]])

    [[use], _] = await asyncio.gather(spend(), move())
    async with store.reading() as reading:
        await assert_true(reading, MoneyUse, [use])


async def test_many_writers_of_both_kinds_leave_every_copy_true(
    store: Store, build: Builder
) -> None:
    ids = await sources(store, build)
    uses: list[int] = []

    async def write(number: int) -> None:
        for _ in range(5):
            try:
                async with store.writing() as unit:
                    if number % 2:
                        uses.extend(await unit.insert(MoneyUse, [new_use(ids)] * 1))
                    else:
                        name = f"name {number}"
                        await unit.update(Resource, [(ids["Resource"], {"Name": name})])
                        await unit.update(
                            CoworkerBookingCredit,
                            [(ids["CoworkerBookingCredit"], {"Description": name})],
                        )
            except Conflict:
                continue

    await asyncio.gather(*(write(number) for number in range(6)))
    async with store.reading() as reading:
        assert await reading.untrue(MoneyUse, 0, 10) == []
        found = await reading.find(MoneyUse, (among(MoneyUse, uses),))
        resource = await reading.get(Resource, ids["Resource"])
        assert resource is not None
        assert {row["BookingResourceName"] for row in found} == {resource["Name"]}


# What the database itself refuses, and what it need not do ---------------------------------------


async def plain_sql(store: Any, database: str, text: str) -> Any:
    """Runs SQL past the program."""
    if database.startswith("sqlite"):
        return store.connection.execute(text).fetchall()
    async with store.pool.acquire() as connection:
        return await connection.fetch(text)


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


# Served by an index ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def thousands(store: Store, build: Builder, database: str) -> None:
    """Some thousand uses of each kind over some dozen of all that they copy from."""
    random = Random(4)
    house = House(store, build, random)
    await house.open()
    for _ in range(3):
        for name in {name for name, _ in house.changes}:
            house.ids[name].append(await build.make(entity_named(name)))
    async with store.writing() as unit:
        for entity in USES:
            await unit.insert(entity, [house.use(entity) for _ in range(3000)])
    await plain_sql(store, database, "ANALYZE")


@pytest.mark.parametrize(("entity", "column"), INDEXED, ids=lambda x: getattr(x, "name", None))
async def test_a_sort_and_an_equality_by_a_copied_column_walk_its_index(
    store: Any, database: str, thousands: None, entity: type[Entity], column: Column
) -> None:
    name = column_name(column) + ("_fold" if is_folded(column) else "")
    found = await plain_sql(
        store, database,
        "SELECT sql, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if database.startswith("sqlite")
        else "SELECT indexdef, indexname FROM pg_indexes",
    )  # fmt: skip
    wanted = [index for text, index in found if f"ON {'' if 'USING' not in text else 'public.'}{table_name(entity)} " in text and f"({name}" in text]  # fmt: skip
    assert wanted
    order = Order(column, descending=True)
    some = {"integer": 1, "boolean": True, "string": "x", "datetime": None}[column.kind.wire_type]
    test = Test.NULL if some is None else Test.IS
    equal = (Filter(column, test, some),)
    by_id = Order(entity.shape().columns["Id"])
    for listing in (Listing(entity, (), order), Listing(entity, equal, by_id)):
        text, values, _ = store.statements.page(listing, 0, 25)
        plan = await explained(store, database, text, values)
        assert any(index in plan for index in wanted), plan


async def explained(store: Any, database: str, text: str, values: list[Any]) -> str:
    if database.startswith("sqlite"):
        rows = store.connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        return "\n".join(row[3] for row in rows)
    async with store.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *values))


def test_a_name_that_an_engine_would_cut_off_is_one_of_its_own() -> None:
    from creditdesk.storage.naming import fitted

    long = [f"{'a_long_table_' * 5}{n}" for n in range(9)]
    assert len({fitted(name, "_follow") for name in long}) == len(long)
    assert all(len(fitted(name, "_follow") + "_follow") <= 63 for name in long)
    assert fitted("booking", "_follow") == "booking"


def test_what_lies_further_behind_must_be_copied_on_the_way() -> None:
    from creditdesk.schema.entity import _REGISTRY
    from creditdesk.schema.kinds import Lend

    try:

        class Shelf(Entity, area="spaces", plural="shelves"):
            Resource = Reference(to="Resource", lends=(Lend(path="Business.Name", copied=True),))

        with pytest.raises(TypeError, match="Resource must copy Business.Name"):
            copies(Shelf)
    finally:
        del _REGISTRY["Shelf"]
