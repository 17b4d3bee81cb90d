"""Migrations: a database is brought to the declared schema once; a newer one is refused."""

from __future__ import annotations

import pytest

from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.entity import _META, _REGISTRY, Entity
from creditdesk.schema.fields import Integer, Money, Reference, Text
from creditdesk.schema.query import Comparison
from creditdesk.storage.clauses import _STORED_NAMES
from creditdesk.storage.engine import UnknownEngine, open_store
from creditdesk.storage.migrations import LATEST_VERSION, MIGRATIONS, NewerDatabase, OlderDatabase
from tests.storage.storage_contract import insert_rows, where
from tests.support.databases import run_sql
from tests.support.record_builder import stored_row
from tests.support.schemas import migrate, schema


async def test_empty_database_is_refused_until_migrated(empty: str) -> None:
    with pytest.raises(OlderDatabase):
        await open_store(empty)
    await migrate(empty)
    await (await open_store(empty)).close()


async def test_migrating_again_changes_nothing(empty: str) -> None:
    store = await open_store(empty, migrated=True)
    [kept] = await insert_rows(store, Currency, {"Name": "Euro"})
    await store.close()
    before = await schema(empty)
    await migrate(empty)
    await migrate(empty)
    assert await schema(empty) == before
    store = await open_store(empty)
    async with store.read_session() as reading:
        assert await reading.get(Currency, kept)
    await store.close()


async def test_newer_database_is_left_unchanged(empty: str) -> None:
    await migrate(empty)
    await run_sql(
        empty, f"INSERT INTO schema_version (number, name, applied_on) VALUES ({LATEST_VERSION + 1}, 'later', 'then')"
    )
    before = await schema(empty)
    with pytest.raises(NewerDatabase):
        await open_store(empty)
    with pytest.raises(NewerDatabase):
        await open_store(empty, migrated=True)
    assert await schema(empty) == before


async def test_concurrent_migrations_succeed(empty: str) -> None:
    import asyncio

    if empty.startswith("sqlite"):
        stores = [await open_store(empty, migrated=True) for _ in range(3)]
    else:
        opened = (open_store(empty, migrated=True, connections=2) for _ in range(3))
        stores = list(await asyncio.gather(*opened))
    for store in stores:
        await insert_rows(store, Currency, {"Name": "each"})
        await store.close()


async def test_later_declarations_are_added(empty: str) -> None:
    """A new field and a new entity are added; existing rows keep their values."""
    store = await open_store(empty, migrated=True)
    [before] = await insert_rows(store, Currency, {"Name": "Euro"})
    await store.close()
    known, fields, shapes = dict(_REGISTRY), dict(Currency.fields), dict(_META)
    try:

        class Shelf(Entity, area="spaces", plural="shelves", label="Name", order="Name"):
            Currency = Reference("Currency", embeds=("Name",))
            Name = Text(required=True)

        Currency.fields |= {"Symbol": Text(), "Digits": Integer(), "Least": Money(indexed=True)}
        _META.clear()
        _STORED_NAMES.clear()
        store = await open_store(empty, migrated=True)
        async with store.read_session() as reading:
            record = await reading.get(Currency, before)
        assert record is not None
        assert (record["Name"], record["Symbol"], record["Least"]) == ("Euro", None, None)
        row = stored_row(Currency, Name="Yen", Symbol="¥", Digits=0, Least=10_000)
        async with store.write_session() as unit:
            [after] = await unit.insert(Currency, [row])
            await unit.insert(Shelf, [stored_row(Shelf, Name="Top", CurrencyId=after)])
        async with store.read_session() as reading:
            symbol = where(Currency, "Symbol", Comparison.CONTAINS, "¥")
            assert [r["Id"] for r in await reading.find(Currency, (symbol,))] == [after]
            assert [r["CurrencyName"] for r in await reading.find(Shelf)] == ["Yen"]
        await store.close()
    finally:
        _REGISTRY.clear()
        _REGISTRY.update(known)
        Currency.fields = fields
        _META.clear()
        _META.update(shapes)
        _STORED_NAMES.clear()


async def test_unknown_engine_is_refused() -> None:
    with pytest.raises(UnknownEngine):
        await open_store("mysql://localhost/x")


def test_steps_are_numbered_without_gaps_and_described() -> None:
    assert [each.number for each in MIGRATIONS] == list(range(1, LATEST_VERSION + 1))
    assert all(each.name and each.description.endswith(".") for each in MIGRATIONS)
