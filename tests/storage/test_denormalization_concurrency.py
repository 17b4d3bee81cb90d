"""Denormalized values stay current while uses are inserted during changes of their sources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.content.event_attendee import EventAttendee
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource import Resource
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Entity, Record, entity_by_name
from creditdesk.schema.errors import Conflict
from creditdesk.schema.repository import Store
from tests.storage.denormalization_support import assert_not_stale
from tests.storage.storage_contract import with_ids
from tests.support.record_builder import RecordBuilder, stored_row

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


async def sources(store: Store, builder: RecordBuilder) -> dict[str, int]:
    """One record of each source, linked with one another only."""
    ids = {"Currency": await builder.create(Currency)}
    ids["Business"] = await builder.create(entity_by_name("Business"), CurrencyId=ids["Currency"])
    ids["Resource"], ids["Other"] = await builder.create(Resource), await builder.create(Resource)
    ids["Booking"] = await builder.create(Booking, ResourceId=ids["Resource"])
    ids["EventAttendee"] = await builder.create(EventAttendee)
    ids["CoworkerBookingCredit"] = await builder.create(CoworkerBookingCredit, BusinessId=ids["Business"])
    return ids


def new_use(ids: dict[str, int]) -> Record:
    links = ("Booking", "EventAttendee", "CoworkerBookingCredit")
    return stored_row(MoneyUse, CreditUsed=1, **{f"{name}Id": ids[name] for name in links})


async def unit_of(store: Store, work: Callable[[Any], Awaitable[Any]], done: asyncio.Event, go: asyncio.Event) -> Any:
    """A session that has done its work and commits on request."""
    async with store.write_session() as unit:
        result = await work(unit)
        done.set()
        await asyncio.wait_for(go.wait(), 10)
    return result


@pytest.mark.parametrize("what", CHANGES)
async def test_insert_during_change_of_its_source(store: Store, builder: RecordBuilder, what: str) -> None:
    ids = await sources(store, builder)
    written, go = asyncio.Event(), asyncio.Event()
    use = asyncio.create_task(unit_of(store, lambda unit: unit.insert(MoneyUse, [new_use(ids)]), written, go))
    await written.wait()

    async def change_it() -> None:
        async with store.write_session() as unit:
            await CHANGES[what](unit, ids)

    changing = asyncio.create_task(change_it())
    await asyncio.sleep(0.2)
    go.set()
    [[use_id], _] = await asyncio.gather(use, changing)
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use_id])


@pytest.mark.parametrize("what", CHANGES)
async def test_change_of_source_during_insert(store: Store, builder: RecordBuilder, database: str, what: str) -> None:
    ids = await sources(store, builder)
    changed, go = asyncio.Event(), asyncio.Event()
    changing = asyncio.create_task(unit_of(store, lambda unit: CHANGES[what](unit, ids), changed, go))
    await changed.wait()

    async def write_it() -> list[int]:
        async with store.write_session() as unit:
            return await unit.insert(MoneyUse, [new_use(ids)])

    use = asyncio.create_task(write_it())
    one_writer = database.startswith("sqlite")
    _, waiting = await asyncio.wait([use], timeout=0.2 if one_writer else 5)
    go.set()
    [[use_id], _] = await asyncio.gather(use, changing)
    # With several writers, a spend waits for no change of a source.
    assert bool(waiting) == one_writer
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use_id])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["an insert", "a new link"])
async def test_insert_waiting_for_a_change_copies_the_new_value(store: Store, builder: RecordBuilder, how: str) -> None:
    """The change is complete but for its commit, so no trigger of it runs after the insert."""
    ids = await sources(store, builder)
    elsewhere = await builder.create(Booking)
    changed, go = asyncio.Event(), asyncio.Event()

    async def change_it(unit: Any) -> None:
        await CHANGES["a resource is renamed"](unit, ids)
        await unit.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    async def write_it() -> list[int]:
        async with store.write_session() as unit:
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
    async with store.read_session() as reading:
        await assert_not_stale(reading, Booking, booking)


async def test_change_between_copy_and_insert(store: Store, builder: RecordBuilder) -> None:
    """A use has copied its booking and is inserted after the booking has changed."""
    ids, others = await sources(store, builder), await sources(store, builder)
    same = new_use(ids)["UniqueId"]
    first, go = asyncio.Event(), asyncio.Event()

    async def stand_in_the_way() -> None:
        async with store.write_session() as unit:
            await unit.insert(MoneyUse, [{**new_use(others), "UniqueId": same}])
            first.set()
            await asyncio.wait_for(go.wait(), 10)
            raise RuntimeError

    async def write_it() -> list[int]:
        async with store.write_session() as unit:
            return await unit.insert(MoneyUse, [{**new_use(ids), "UniqueId": same}])

    async def change_it() -> None:
        async with store.write_session() as unit:
            await CHANGES["a booking gets a time"](unit, ids)

    before = asyncio.create_task(stand_in_the_way())
    await first.wait()
    use = asyncio.create_task(write_it())
    await asyncio.sleep(0.2)
    changing = asyncio.create_task(change_it())
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(before, use, changing, return_exceptions=True)
    [use_id] = use.result()
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use_id])


async def test_booking_moved_to_a_resource_during_its_rename(store: Store, builder: RecordBuilder) -> None:
    ids = await sources(store, builder)
    async with store.write_session() as unit:
        [use] = await unit.insert(MoneyUse, [new_use(ids)])
    moved, go = asyncio.Event(), asyncio.Event()
    move = CHANGES["a booking is moved to another resource"]
    moving = asyncio.create_task(unit_of(store, lambda unit: move(unit, ids), moved, go))
    await moved.wait()

    async def rename() -> None:
        async with store.write_session() as unit:
            await unit.update(Resource, [(ids["Other"], {"Name": "renamed meanwhile"})])

    renaming = asyncio.create_task(rename())
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(moving, renaming)
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use])
        await assert_not_stale(reading, Booking, [ids["Booking"]])


async def test_spend_and_moved_booking_do_not_deadlock(store: Store, builder: RecordBuilder) -> None:
    """The spend locks the credit, then the booking; the move locks the booking, then both."""
    ids = await sources(store, builder)
    locked, moved = asyncio.Event(), asyncio.Event()

    async def spend() -> list[int]:
        async with store.write_session() as unit:
            await unit.lock(CoworkerBookingCredit, [ids["CoworkerBookingCredit"]])
            locked.set()
            await asyncio.wait([asyncio.create_task(moved.wait())], timeout=0.3)
            return await unit.insert(MoneyUse, [new_use(ids)])

    async def move() -> None:
        await locked.wait()
        async with store.write_session() as unit:
            await CHANGES["a booking gets a time"](unit, ids)
            moved.set()
            await unit.lock(CoworkerBookingCredit, [ids["CoworkerBookingCredit"]])

    [[use], _] = await asyncio.gather(spend(), move())
    async with store.read_session() as reading:
        await assert_not_stale(reading, MoneyUse, [use])


async def test_concurrent_inserts_and_changes_leave_no_stale_value(store: Store, builder: RecordBuilder) -> None:
    ids = await sources(store, builder)
    uses: list[int] = []

    async def write(number: int) -> None:
        for _ in range(5):
            try:
                async with store.write_session() as unit:
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
    async with store.read_session() as reading:
        assert await reading.stale(MoneyUse, 0, 10) == []
        found = await reading.find(MoneyUse, (with_ids(MoneyUse, uses),))
        resource = await reading.get(Resource, ids["Resource"])
        assert resource is not None
        assert {row["BookingResourceName"] for row in found} == {resource["Name"]}
