"""The storage contract: what every engine guarantees.

A suite that inherits `StorageContract` provides the fixtures `store` and `builder` for its engine.
Nothing here depends on which engine that is.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from threading import Event, get_ident
from typing import Any
from uuid import uuid4

import pytest

from creditdesk.entities.billing.time_pass import TimePass
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.spaces.resource_type import ResourceType
from creditdesk.entities.sys.business import Business
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import Column, Entity, Record
from creditdesk.schema.errors import Conflict, StateConflict
from creditdesk.schema.query import Comparison, Filter, ListQuery, Order, Page
from creditdesk.schema.repository import FindQuery, Insert, ReadSession, Store, Update
from tests.support.record_builder import RecordBuilder, stored_row


def column(entity: type[Entity], name: str) -> Column:
    """A column of the entity, shown or filter-only."""
    shape = entity.meta()
    return shape.columns.get(name) or shape.filter_only[name]


def where(entity: type[Entity], name: str, test: Comparison, value: Any = None) -> Filter:
    return Filter(column(entity, name), test, value)


def with_ids(entity: type[Entity], ids: list[int]) -> Filter:
    """Restricts a query to the rows of one test."""
    return where(entity, "Id", Comparison.ONE_OF, tuple(ids))


def order_by(entity: type[Entity], name: str, *, descending: bool = False) -> Order:
    return Order(column(entity, name), descending)


async def insert_rows(store: Store, entity: type[Entity], *rows: dict[str, Any]) -> list[int]:
    """Inserts rows with default values beside the given ones; returns their ids."""
    async with store.write_session() as unit:
        return await unit.insert(entity, [stored_row(entity, **row) for row in rows])


async def matching_positions(store: Store, entity: type[Entity], ids: list[int], *filters: Filter) -> list[int]:
    """The positions among the ids of the rows that match the filters."""
    async with store.read_session() as reading:
        rows = await reading.find(entity, (with_ids(entity, ids), *filters))
    return [ids.index(row["Id"]) for row in rows]


async def sorted_positions(store: Store, entity: type[Entity], ids: list[int], order: Order) -> list[int]:
    """The positions of the rows among the ids, in the order of a page."""
    at = [c.name for c in entity.meta().list_columns].index("Id")
    async with store.read_session() as reading:
        page = await reading.page(ListQuery(entity, (with_ids(entity, ids),), order, 1, 1000))
    return [ids.index(row[at]) for row in page.rows]


class StorageContract:
    """What every engine guarantees."""

    async def test_inserted_record_reads_back_unchanged(self, store: Store) -> None:
        row = stored_row(Currency, Name="Euro", Code="EUR", Format="0.00", SystemId="x")
        async with store.write_session() as unit:
            [record_id] = await unit.insert(Currency, [row])
        async with store.read_session() as reading:
            record = await reading.get(Currency, record_id)
        assert record == {**row, "Id": record_id} | dict.fromkeys(("IsNew", "ToStringText", "LocalizationDetails"))

    async def test_missing_record_is_none(self, store: Store) -> None:
        async with store.read_session() as reading:
            assert await reading.get(Currency, 987654321) is None
            assert await reading.get_many(Currency, [987654321]) == {}

    async def test_empty_lists_do_nothing(self, store: Store) -> None:
        async with store.write_session() as unit:
            assert await unit.get_many(Currency, []) == {}
            assert await unit.lock(Currency, []) == {}
            assert await unit.insert(Currency, []) == []
            await unit.update(Currency, [])
            await unit.delete(Currency, [])

    async def test_get_many_returns_existing_records(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a"}, {"Name": "b"})
        async with store.read_session() as reading:
            records = await reading.get_many(Currency, [*ids, ids[0], 987654321])
        assert {i: r["Name"] for i, r in records.items()} == {ids[0]: "a", ids[1]: "b"}

    async def test_filters_apply_to_get_and_get_many(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Code": "AAA"}, {"Code": "BBB"})
        only = where(Currency, "Code", Comparison.EQUALS, "aaa")
        async with store.read_session() as reading:
            assert await reading.get(Currency, ids[1], (only,)) is None
            assert set(await reading.get_many(Currency, ids, (only,))) == {ids[0]}

    async def test_embedded_values_cross_two_relations(self, store: Store, builder: RecordBuilder) -> None:
        [euro] = await insert_rows(store, Currency, {"Code": "EUR"})
        [dollar] = await insert_rows(store, Currency, {"Code": "USD"})
        business = await builder.shared_id("Business")
        ids = await insert_rows(
            store,
            TimePass,
            {"BusinessId": business, "CurrencyId": euro},
            {"BusinessId": business, "CurrencyId": dollar},
            {"BusinessId": business},
        )
        async with store.read_session() as reading:
            records = await reading.get_many(TimePass, ids)
        assert [records[i]["CurrencyCode"] for i in ids] == ["EUR", "USD", None]
        assert await matching_positions(
            store, TimePass, ids, where(TimePass, "CurrencyCode", Comparison.EQUALS, "eur")
        ) == [0]
        assert await matching_positions(store, TimePass, ids, where(TimePass, "CurrencyCode", Comparison.NULL)) == [2]
        order = order_by(TimePass, "CurrencyCode", descending=True)
        assert await sorted_positions(store, TimePass, ids, order) == [1, 0, 2]

    async def test_find_sorts_by_id_and_continues_after_an_id(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, *({"Name": f"n{i}"} for i in range(5)))
        async with store.read_session() as reading:
            first = await reading.find(Currency, (with_ids(Currency, ids),), limit=2)
            rest = await reading.find(Currency, (with_ids(Currency, ids),), after_id=ids[1])
        assert [r["Id"] for r in first] == ids[:2]
        assert [r["Id"] for r in rest] == ids[2:]

    async def test_find_returns_only_named_columns(self, store: Store, builder: RecordBuilder) -> None:
        [euro] = await insert_rows(store, Currency, {"Code": "EUR"})
        business = await builder.shared_id("Business")
        ids = await insert_rows(
            store,
            TimePass,
            {"BusinessId": business, "CurrencyId": euro, "Businesses": (business,)},
            {"BusinessId": business},
        )
        named = ("CurrencyCode", "Businesses", "Id")
        async with store.read_session() as reading:
            records = await reading.find(TimePass, (with_ids(TimePass, ids),), columns=named)
        assert [list(record.items()) for record in records] == [
            [("CurrencyCode", "EUR"), ("Businesses", (business,)), ("Id", ids[0])],
            [("CurrencyCode", None), ("Businesses", ()), ("Id", ids[1])],
        ]

    async def test_find_returns_filter_only_columns(self, store: Store, builder: RecordBuilder) -> None:
        business = await builder.shared_id("Business")
        booking = await builder.create(Booking)
        async with store.read_session() as reading:
            [record] = await reading.find(Booking, (with_ids(Booking, [booking]),), columns=("ResourceBusinessId",))
        assert record == {"ResourceBusinessId": business}

    async def test_find_many_equals_separate_finds(self, store: Store, builder: RecordBuilder) -> None:
        [euro] = await insert_rows(store, Currency, {"Code": "EUR"})
        business = await builder.shared_id("Business")
        passes = await insert_rows(
            store,
            TimePass,
            {"BusinessId": business, "CurrencyId": euro, "Businesses": (business,)},
            {"BusinessId": business},
        )
        booking = await builder.create(Booking)
        questions = [
            FindQuery(TimePass, (with_ids(TimePass, passes),), ("CurrencyCode", "Businesses", "Id")),
            FindQuery(Booking, (where(Booking, "ResourceBusinessId", Comparison.EQUALS, business),)),
            FindQuery(Currency, (where(Currency, "Code", Comparison.EQUALS, "none has this"),)),
            FindQuery(TimePass, (with_ids(TimePass, passes), where(TimePass, "CurrencyCode", Comparison.EQUALS, "eur"))),
        ]  # fmt: skip
        async with store.read_session() as reading:
            found = await reading.find_many(questions)
            apart = [await reading.find(q.entity, q.filters, columns=q.columns) for q in questions]
            assert await reading.find_many([]) == []
            assert await reading.find_many(questions[:1]) == apart[:1]
        assert found == apart
        assert [len(records) for records in found] == [2, len(found[1]), 0, 1]
        assert booking in [record["Id"] for record in found[1]]

    async def test_lock_returns_only_named_columns(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a", "Code": "A"}, {"Name": "b", "Code": "B"})
        async with store.write_session() as unit:
            locked = await unit.lock(Currency, ids, ("Id", "Code"))
            with pytest.raises(KeyError):
                await unit.lock(Currency, ids, ("Id", "Nothing"))
        assert locked == {i: {"Id": i, "Code": c} for i, c in zip(ids, "AB", strict=True)}

    async def test_page_has_total_even_past_the_end(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, *({"Name": f"n{i}"} for i in range(5)))
        order = order_by(Currency, "Name")

        async def page(number: int, size: int) -> Page:
            async with store.read_session() as reading:
                return await reading.page(ListQuery(Currency, (with_ids(Currency, ids),), order, number, size))

        assert [(len(p.rows), p.total) for p in [await page(n, 2) for n in (1, 2, 3, 4)]] == [
            (2, 5), (2, 5), (1, 5), (0, 5),
        ]  # fmt: skip
        assert (await page(2**53, 1000)).total == 5

    async def test_count_returns_number_of_matches(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Code": "A"}, {"Code": "B"}, {"Code": "B"})
        async with store.read_session() as reading:
            matching = (with_ids(Currency, ids), where(Currency, "Code", Comparison.EQUALS, "b"))
            assert await reading.count(Currency, matching) == 2

    async def test_update_sets_only_named_values(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a", "Code": "A"}, {"Name": "b", "Code": "B"})
        async with store.write_session() as unit:
            await unit.update(Currency, [(ids[0], {"Name": "Ä"}), (ids[1], {"Code": None})])
        async with store.read_session() as reading:
            records = await reading.get_many(Currency, ids)
        assert [(records[i]["Name"], records[i]["Code"]) for i in ids] == [("Ä", "A"), ("b", None)]
        by_name = where(Currency, "Name", Comparison.CONTAINS, "ä")
        assert await matching_positions(store, Currency, ids, by_name) == [0]

    async def test_lock_returns_stored_values(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a"}, {"Name": "b"})
        async with store.write_session() as unit:
            locked = await unit.lock(Currency, [ids[1], ids[0], ids[0], 987654321])
        assert list(locked) == ids
        assert set(locked[ids[0]]) == {c.name for c in Currency.meta().stored_columns}
        assert locked[ids[1]]["Name"] == "b"

    async def test_lock_returns_unlocked_skippable_records(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a"}, {"Name": "b"}, {"Name": "c"})
        async with store.write_session() as unit:
            assert await unit.lock(Currency, [], ("Id",), skip_locked=[]) == {}
            await unit.lock(Currency, [ids[0]])
            # A session may skip-lock what it has locked itself.
            locked = await unit.lock(
                Currency, [ids[1]], ("Id", "Name"), skip_locked=[ids[2], ids[0], ids[1], 987654321]
            )
            alone = await unit.lock(Currency, [], ("Id",), skip_locked=[ids[2]])
        assert {i: record["Name"] for i, record in locked.items()} == dict(zip(ids, "abc", strict=True))
        assert alone == {ids[2]: {"Id": ids[2]}}

    @pytest.mark.parametrize("count", [1, 2])
    async def test_write_changes_several_tables(self, store: Store, count: int) -> None:
        (money,) = await insert_rows(store, Currency, {"Name": "Euro", "Code": "EUR"})
        async with store.write_session() as unit:
            fresh = (await unit.next_ids({Business: count}))[Business]
            places = [
                stored_row(Business, Id=i, Name=f"Place {i}", CurrencyId=money, WebAddress=f"p{i}") for i in fresh
            ]
            shown = await unit.write([Insert(Business, places), Update(Currency, [(money, {"Code": "XYZ"})])], Business)
        assert sorted(shown) == fresh
        assert shown[fresh[0]]["Name"] == f"Place {fresh[0]}"
        # Embedded values are read as they were before the other writes.
        assert {row["CurrencyCode"] for row in shown.values()} == {"EUR"}
        async with store.read_session() as reading:
            assert (await reading.get_many(Business, fresh))[fresh[-1]]["CurrencyCode"] == "XYZ"

    @pytest.mark.parametrize("names", [["first"], ["first", "second"]])
    async def test_write_assigns_missing_ids(self, store: Store, names: list[str]) -> None:
        (money,) = await insert_rows(store, Currency, {"Name": "Euro", "Code": "EUR"})
        named = [stored_row(Currency, Name=name) for name in names]
        async with store.write_session() as unit:
            await unit.write([Insert(Currency, named), Update(Currency, [(money, {"Code": "X"})])])
        async with store.read_session() as reading:
            made = await reading.find(Currency, after_id=money)
        assert sorted(row["Name"] for row in made) == names
        assert max(row["Id"] for row in made) < (await insert_rows(store, Currency, {"Name": "next"}))[0]

    async def test_failed_write_undoes_the_others(self, store: Store) -> None:
        (money,) = await insert_rows(store, Currency, {"Name": "Euro", "Code": "EUR"})
        broken = stored_row(Business, Id=987654, Name="Nowhere", CurrencyId=987654321)
        with pytest.raises((StateConflict, Conflict)):
            async with store.write_session() as unit:
                await unit.write([Insert(Business, [broken]), Update(Currency, [(money, {"Code": "XYZ"})])])
        async with store.read_session() as reading:
            assert (await reading.get_many(Currency, [money]))[money]["Code"] == "EUR"

    async def test_new_ids_ascend_and_never_repeat(self, store: Store) -> None:
        async with store.write_session() as unit:
            first, others = (await unit.next_ids({Currency: 3, TimePass: 1})).values()
        async with store.write_session() as unit:
            second = (await unit.next_ids({Currency: 2}))[Currency]
        assert len(others) == 1
        assert first == sorted(first)
        assert len({*first, *second}) == 5
        assert min(second) > max(first)

    async def test_given_id_is_not_assigned_again(self, store: Store) -> None:
        async with store.write_session() as unit:
            [highest] = (await unit.next_ids({Currency: 1}))[Currency]
        await insert_rows(store, Currency, {"Id": highest + 10, "Name": "from outside"})
        await insert_rows(store, Currency, {"Id": highest + 5, "Name": "later, but lower"})
        assert await insert_rows(store, Currency, {"Name": "fresh"}) == [highest + 11]

    async def test_first_id_may_be_given(self, store: Store) -> None:
        from creditdesk.entities.security.signing_key import SigningKey

        await insert_rows(store, SigningKey, {"Id": 1, "Name": "first"})
        assert await insert_rows(store, SigningKey, {"Name": "second"}) == [2]

    async def test_delete_ignores_missing_records(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "a"}, {"Name": "b"})
        async with store.write_session() as unit:
            await unit.delete(Currency, [ids[0], 987654321])
        async with store.read_session() as reading:
            assert set(await reading.get_many(Currency, ids)) == {ids[1]}

    async def test_referenced_record_is_not_deleted(self, store: Store, builder: RecordBuilder) -> None:
        [currency] = await insert_rows(store, Currency, {"Code": "EUR"})
        business = await builder.shared_id("Business")
        await insert_rows(store, TimePass, {"BusinessId": business, "CurrencyId": currency})
        with pytest.raises(StateConflict, match="1 timepasses refer to it"):
            async with store.write_session() as unit:
                await unit.delete(Currency, [currency])
        async with store.read_session() as reading:
            assert await reading.get(Currency, currency)

    async def test_collection_member_is_not_deleted(self, store: Store, builder: RecordBuilder) -> None:
        business = await builder.shared_id("Business")
        [kind] = await insert_rows(store, ResourceType, {"BusinessId": business, "Name": "Room"})
        from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit

        credit = await builder.create(
            CoworkerBookingCredit,
            TotalCredit=1,
            RemainingCredit=1,
            ElegibleResourceTypes=(kind,),
        )
        with pytest.raises(StateConflict):
            async with store.write_session() as unit:
                await unit.delete(ResourceType, [kind])
        async with store.write_session() as unit:
            await unit.delete(CoworkerBookingCredit, [credit])
            await unit.delete(ResourceType, [kind])

    async def test_exception_rolls_back(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "stays"})
        unique = str(uuid4())
        with pytest.raises(RuntimeError, match="midway"):
            async with store.write_session() as unit:
                await unit.insert(Currency, [stored_row(Currency, UniqueId=unique)])
                await unit.update(Currency, [(ids[0], {"Name": "changed"})])
                raise RuntimeError("midway")
        async with store.read_session() as reading:
            assert not await reading.count(Currency, (where(Currency, "UniqueId", Comparison.EQUALS, unique),))
            record = await reading.get(Currency, ids[0])
        assert record is not None
        assert record["Name"] == "stays"

    async def test_uncommitted_writes_are_visible_only_to_their_session(self, store: Store) -> None:
        ids = await insert_rows(store, Currency, {"Name": "before"})
        async with store.read_session() as earlier, store.write_session() as unit:
            await unit.update(Currency, [(ids[0], {"Name": "after"})])
            async with store.read_session() as later:
                for reading, name in ((unit, "after"), (later, "before"), (earlier, "before")):
                    record = await reading.get(Currency, ids[0])
                    assert record is not None
                    assert record["Name"] == name

    async def test_read_session_sees_no_later_commit(self, store: Store) -> None:
        first, second = await insert_rows(store, Currency, {"Code": "AAA"}, {"Code": "BBB"})
        ours = (with_ids(Currency, [first, second]),)
        async with store.read_session() as session:
            assert await session.count(Currency, ours) == 2
            async with store.write_session() as unit:
                await unit.update(Currency, [(first, {"Code": "CCC"}), (second, {"Code": "CCC"})])
                await unit.delete(Currency, [first])
            seen = await session.find(Currency, ours, columns=("Code",))
            assert await session.count(Currency, ours) == 2
        assert seen == [{"Code": "AAA"}, {"Code": "BBB"}]
        async with store.read_session() as session:
            assert await session.find(Currency, ours, columns=("Code",)) == [{"Code": "CCC"}]

    async def test_detached_read_leaves_the_event_loop_free_and_sees_one_snapshot(self, store: Store) -> None:
        [first] = await insert_rows(store, Currency, {"Code": "AAA"})
        started, may_end = Event(), Event()

        async def read(session: ReadSession) -> tuple[list[Record], list[Record], int]:
            before = await session.find(Currency, [with_ids(Currency, [first])], columns=("Code",))
            started.set()
            assert may_end.wait(10)
            after = await session.find(Currency, [with_ids(Currency, [first])], columns=("Code",))
            return before, after, get_ident()

        reading = asyncio.create_task(store.read_detached(read))
        while not started.is_set():
            await asyncio.sleep(0.01)
        async with store.write_session() as session:
            await session.update(Currency, [(first, {"Code": "BBB"})])
        may_end.set()
        before, after, thread = await reading
        assert before == after == [{"Code": "AAA"}]
        assert thread != get_ident()

    async def test_detached_read_raises_what_its_work_raises(self, store: Store) -> None:
        async def fail(_session: ReadSession) -> None:
            raise StateConflict("no")

        with pytest.raises(StateConflict, match="no"):
            await store.read_detached(fail)

    async def test_find_latest_returns_the_highest_of_each_group(self, store: Store) -> None:
        numbers = (("money", 901), ("money", 903), ("money", 902), ("time", 905))
        rows = [{"CreditKind": kind, "CreditId": number, "Digest": ""} for kind, number in numbers]
        ours = with_ids(AccountState, await insert_rows(store, AccountState, *rows))

        async def latest(*filters: Filter, keep: tuple[Filter, ...] = ()) -> list[tuple[str, int]]:
            names = ("CreditKind", "CreditId")
            async with store.read_session() as session:
                found = await session.find_latest(
                    AccountState, names[:1], names[1], (ours, *filters), keep=keep, columns=names
                )
            return sorted((row["CreditKind"], row["CreditId"]) for row in found)

        low = where(AccountState, "CreditId", Comparison.AT_MOST, 902)
        high = where(AccountState, "CreditId", Comparison.AT_LEAST, 904)
        assert await latest() == [("money", 903), ("time", 905)]
        assert await latest(low) == [("money", 902)]
        assert await latest(keep=(high,)) == [("time", 905)]

    async def test_single_reads_see_each_commit(self, store: Store) -> None:
        [record_id] = await insert_rows(store, Currency, {"Code": "AAA"})
        ours = (with_ids(Currency, [record_id]),)
        async with store.read_session(snapshot=False) as session:
            assert await session.find(Currency, ours, columns=("Code",)) == [{"Code": "AAA"}]
            async with store.write_session() as unit:
                await unit.update(Currency, [(record_id, {"Code": "BBB"})])
                assert await session.find(Currency, ours, columns=("Code",)) == [{"Code": "AAA"}]
            assert await session.find(Currency, ours, columns=("Code",)) == [{"Code": "BBB"}]

    async def test_open_snapshots_block_no_writer(self, store: Store) -> None:
        [record_id] = await insert_rows(store, Currency, {"Name": "0"})
        ours = (with_ids(Currency, [record_id]),)
        async with AsyncExitStack() as stack:
            for number in range(1, 5):
                session = await stack.enter_async_context(store.read_session())
                seen = await session.find(Currency, ours, columns=("Name",))
                assert seen == [{"Name": str(number - 1)}]
                async with store.write_session() as unit:
                    await unit.update(Currency, [(record_id, {"Name": str(number)})])
        async with store.read_session() as session:
            assert await session.find(Currency, ours, columns=("Name",)) == [{"Name": "4"}]

    async def test_failed_read_session_does_not_affect_the_next(self, store: Store) -> None:
        [record_id] = await insert_rows(store, Currency, {"Name": "a"})
        with pytest.raises(RuntimeError, match="midway"):
            async with store.read_session() as session:
                await session.get(Currency, record_id)
                raise RuntimeError("midway")
        async with store.write_session() as unit:
            await unit.update(Currency, [(record_id, {"Name": "b"})])
        async with store.read_session() as session:
            assert (await session.get_many(Currency, [record_id]))[record_id]["Name"] == "b"
