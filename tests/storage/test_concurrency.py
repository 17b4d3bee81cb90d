"""Twenty concurrent writers: transactions are atomic, none is lost, ids are unique."""

from __future__ import annotations

import asyncio

import pytest

from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.query import Comparison
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from tests.storage.storage_contract import insert_rows, where

WRITERS = 20


async def test_increments_of_a_locked_row_are_not_lost(store: Store) -> None:
    [row] = await insert_rows(store, TimePass, {"MinutesIncluded": 0})

    async def add_one() -> None:
        async with store.write_session() as unit:
            before = (await unit.lock(TimePass, [row]))[row]["MinutesIncluded"]
            await asyncio.sleep(0)
            await unit.update(TimePass, [(row, {"MinutesIncluded": before + 1})])

    await asyncio.gather(*(add_one() for _ in range(WRITERS)))
    async with store.read_session() as reading:
        record = await reading.get(TimePass, row)
    assert record is not None
    assert record["MinutesIncluded"] == WRITERS


async def test_locking_in_any_order_does_not_deadlock(store: Store) -> None:
    rows = await insert_rows(store, TimePass, *({"MinutesIncluded": 0} for _ in range(4)))

    async def add_one(number: int) -> None:
        turned = rows[number % 4 :] + rows[: number % 4]
        async with store.write_session() as unit:
            locked = await unit.lock(TimePass, turned if number % 2 else turned[::-1])
            changes = [(i, {"MinutesIncluded": locked[i]["MinutesIncluded"] + 1}) for i in turned]
            await unit.update(TimePass, changes)

    await asyncio.gather(*(add_one(number) for number in range(WRITERS)))
    async with store.read_session() as reading:
        records = await reading.get_many(TimePass, rows)
    assert [records[i]["MinutesIncluded"] for i in rows] == [WRITERS] * 4


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_skip_locked_omits_rows_of_other_sessions(
    store: Store,
) -> None:
    theirs, free = await insert_rows(store, TimePass, {"MinutesIncluded": 0}, {"MinutesIncluded": 1})
    async with store.write_session() as holder, store.write_session() as unit:
        await holder.lock(TimePass, [theirs])
        async with asyncio.timeout(5):
            locked = await unit.lock(TimePass, [], skip_locked=[theirs, free])
        assert list(locked) == [free]
        await holder.update(TimePass, [(theirs, {"MinutesIncluded": 7})])
        needed = asyncio.create_task(unit.lock(TimePass, [theirs], skip_locked=[free]))
        assert await asyncio.wait([needed], timeout=0.2) == (set(), {needed})
        await holder.update(TimePass, [(theirs, {"MinutesIncluded": 8})])
        await holder.connection.execute("COMMIT")  # type: ignore[attr-defined]
        locked = await needed
        assert {i: record["MinutesIncluded"] for i, record in locked.items()} == {
            theirs: 8,
            free: 1,
        }


async def test_concurrent_writers_get_distinct_ids(store: Store) -> None:
    async def take() -> list[int]:
        async with store.write_session() as unit:
            return (await unit.next_ids({Currency: 5}))[Currency]

    given = await asyncio.gather(*(take() for _ in range(WRITERS)))
    assert len({i for ids in given for i in ids}) == WRITERS * 5


async def test_failed_concurrent_writers_leave_nothing(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.write_session() as unit:
            from tests.support.record_builder import stored_row

            await unit.insert(Currency, [stored_row(Currency, SystemId="half", Name=str(number))])
            await asyncio.sleep(0)
            if number % 2:
                raise RuntimeError("half of them")

    done = await asyncio.gather(*(write(n) for n in range(WRITERS)), return_exceptions=True)
    assert [isinstance(each, RuntimeError) for each in done] == [bool(n % 2) for n in range(WRITERS)]
    async with store.read_session() as reading:
        kept = await reading.find(Currency, (where(Currency, "SystemId", Comparison.CONTAINS, "half"),))
    assert sorted(int(row["Name"]) for row in kept) == list(range(0, WRITERS, 2))


async def test_readers_see_whole_transactions(store: Store) -> None:
    rows = await insert_rows(store, TimePass, {"MinutesIncluded": 0}, {"MinutesIncluded": 0})
    done = asyncio.Event()

    async def write() -> None:
        for number in range(1, 11):
            async with store.write_session() as unit:
                await unit.update(TimePass, [(rows[0], {"MinutesIncluded": number})])
                await asyncio.sleep(0)
                await unit.update(TimePass, [(rows[1], {"MinutesIncluded": number})])
            await asyncio.sleep(0)
        done.set()

    async def read() -> None:
        while not done.is_set():
            async with store.read_session() as reading:
                await asyncio.sleep(0)
                records = await reading.get_many(TimePass, rows)
            first, second = (records[i]["MinutesIncluded"] for i in rows)
            assert first == second
            await asyncio.sleep(0)

    await asyncio.gather(write(), *(read() for _ in range(3)))


async def test_cancelled_writer_rolls_back_and_releases_locks(store: Store) -> None:
    inside = asyncio.Event()

    async def write() -> None:
        async with store.write_session() as unit:
            from tests.support.record_builder import stored_row

            await unit.insert(Currency, [stored_row(Currency, SystemId="cancelled")])
            inside.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with store.write_session() as unit:
        gone = (where(Currency, "SystemId", Comparison.CONTAINS, "cancelled"),)
        assert await unit.count(Currency, gone) == 0


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_connections_are_acquired_in_order_of_arrival(database: str) -> None:
    """A late request does not overtake those that wait for a connection."""
    store = await open_store(database, connections=1)
    came: list[int] = []
    served: list[int] = []

    async def ask() -> None:
        number = len(came)
        came.append(number)
        async with store.read_session() as reading:
            served.append(number)
            await reading.count(Currency)

    asking = []
    for number in range(300):
        asking.append(asyncio.create_task(ask()))
        # At random moments, so also as a connection is released.
        await asyncio.sleep(0 if number % 3 else 0.001)
    await asyncio.gather(*asking)
    await store.close()
    assert served == came
