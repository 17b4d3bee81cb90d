"""What copies of lent values should be, and a house whose records change at random."""

from __future__ import annotations

from random import Random
from typing import Any

from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Column, Entity, Record, entity_named
from creditdesk.schema.fields import Reference
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.repository import Reading, Store
from tests.builders import Builder, sample, stored_row

COPYING = tuple(entity for entity in CATALOG if entity.shape().copied)
USES = (MoneyUse, TimeUse)
EVERY = [(entity, column) for entity in COPYING for column in entity.shape().copied]
OWN = [(entity, entity.shape().columns["CreditUsed"]) for entity in USES]
OWN += [(MoneyUse, MoneyUse.shape().columns["Description"])]
OWN += [(entity, entity.shape().columns[n]) for entity in USES for n in ("SystemId", "UpdatedBy")]
INDEXED = [(entity, column) for entity, column in EVERY if column.indexed] + OWN


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


async def plain_sql(store: Any, database: str, text: str) -> Any:
    """Runs SQL past the program."""
    if database.startswith("sqlite"):
        return store.connection.execute(text).fetchall()
    async with store.pool.acquire() as connection:
        return await connection.fetch(text)
