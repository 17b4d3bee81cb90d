"""Expected denormalized values, records that change at random, and schemas without denormalized values."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import uuid4

from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory as MoneyUse,
)
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory as TimeUse,
)
from creditdesk.entities.catalog import CATALOG
from creditdesk.schema.entity import Column, Entity, Record, declared_entities, entity_by_name
from creditdesk.schema.fields import Reference
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession, Store
from creditdesk.storage.denormalization import denormalizations
from creditdesk.storage.naming import location_column, shortened_name, table_name
from tests.support.databases import run_sql
from tests.support.record_builder import RecordBuilder, sample_value, stored_row

DENORMALIZED_ENTITIES = tuple(entity for entity in CATALOG if entity.meta().denormalized_columns)
USES = (MoneyUse, TimeUse)
DENORMALIZED_COLUMNS = [
    (entity, column) for entity in DENORMALIZED_ENTITIES for column in entity.meta().denormalized_columns
]
OWN_COLUMNS = [(entity, entity.meta().columns["CreditUsed"]) for entity in USES]
OWN_COLUMNS += [(MoneyUse, MoneyUse.meta().columns["Description"])]
OWN_COLUMNS += [(entity, entity.meta().columns[n]) for entity in USES for n in ("SystemId", "UpdatedBy")]
INDEXED_COLUMNS = [(entity, column) for entity, column in DENORMALIZED_COLUMNS if column.indexed] + OWN_COLUMNS


async def expected_value(reading: ReadSession, record: Record, column: Column) -> Any:
    """The value at the end of a column's path, followed record by record."""
    entity: type[Entity] = column.entity
    for relation in column.path:
        field = entity.fields[relation]
        assert isinstance(field, Reference)
        linked = record[f"{relation}Id"]
        entity = entity_by_name(field.to)
        found = await reading.get(entity, linked) if linked else None
        if found is None:
            return None
        record = found
    return record[column.leaf]


async def assert_not_stale(reading: ReadSession, entity: type[Entity], ids: list[int]) -> None:
    """Every denormalized value of these records is returned and filtered as its source."""
    for record in (await reading.get_many(entity, ids)).values():
        for column in entity.meta().denormalized_columns:
            right = await expected_value(reading, record, column)
            if column.visible:
                assert record[column.name] == right, (entity.__name__, column.name)
            this = Filter(entity.meta().columns["Id"], Comparison.EQUALS, record["Id"])
            test = Filter(column, Comparison.NULL if right is None else Comparison.EQUALS, right)
            assert await reading.count(entity, (this, test)) == 1, (entity.__name__, column.name)
    assert await reading.stale(entity, 0, 10) == []


class RandomRecords:
    """A few records of every source of uses, and the values of them that may change."""

    def __init__(self, store: Store, builder: RecordBuilder, random: Random) -> None:
        self.store, self.builder, self.random = store, builder, random
        self.ids: dict[str, list[int]] = {}
        self.mutable_columns = sorted(set(self._mutable_columns()))

    @staticmethod
    def _mutable_columns() -> Any:
        """(entity, column) of every link and every value on the way from a use to what it copies."""
        for entity, column in DENORMALIZED_COLUMNS:
            source = entity
            for relation in column.path:
                if source not in USES:
                    yield source.__name__, f"{relation}Id"
                field = source.fields[relation]
                assert isinstance(field, Reference)
                source = entity_by_name(field.to)
            if column.leaf != "Id":
                yield source.__name__, column.leaf

    async def create(self) -> None:
        for name in {name for name, _ in self.mutable_columns} | {"Coworker"}:
            self.ids[name] = [await self.builder.create(entity_by_name(name)) for _ in range(3)]
        for entity in USES:
            self.ids[entity.__name__] = []

    def value(self, entity: type[Entity], name: str) -> Any:
        column = entity.meta().columns[name]
        if self.random.random() < 0.15:
            return None
        if isinstance(column.field, Reference):
            return self.random.choice(self.ids[column.field.to])
        return column.field.parse(sample_value(column.field, self.random.choice(("Straße ", "ÉCOLE "))))

    def use(self, entity: type[Entity]) -> Record:
        links = {
            f"{relation}Id": self.value(entity, f"{relation}Id")
            for relation in {column.path[0] for column in entity.meta().denormalized_columns}
        }
        return stored_row(entity, **links, CreditUsed=1)

    async def step(self, unit: Any) -> None:
        if self.random.random() < 0.3:
            history = self.random.choice(USES)
            uses = [self.use(history) for _ in range(self.random.choice((1, 3)))]
            self.ids[history.__name__] += await unit.insert(history, uses)
            return
        name, column = self.random.choice(self.mutable_columns)
        entity = entity_by_name(name)
        several = self.random.sample(self.ids[name], self.random.choice((1, 2)))
        await unit.update(entity, [(i, {column: self.value(entity, column)}) for i in several])


async def strip_copies(url: str) -> None:
    """Removes all that denormalized values need, as a release does not have it that knows none."""
    await run_sql(url, "DELETE FROM migration_state WHERE name = 'triggers'")
    every = [each for entity in declared_entities() for each in denormalizations(entity)]
    for each in every:
        name = shortened_name(f"{each.table}_{each.reference_column}", "_follow")
        of_table = {"true": each.table, "anew": each.table, "follow": each.source_table}
        for ending, table in (of_table | {"late": each.source_table}).items():
            on = "" if url.startswith("sqlite") else f" ON {table}"
            await run_sql(url, f"DROP TRIGGER IF EXISTS {name}_{ending}{on}")
    for entity in declared_entities():
        if entity.counted:
            await _strip_locations(url, table_name(entity), location_column(entity))
    for each in every:
        for column in each.columns:
            for ending in ("", "_created_on"):
                name = shortened_name(f"{each.table}_{column}{ending}", "_ix")
                await run_sql(url, f"DROP INDEX IF EXISTS {name}_ix")
            await run_sql(url, f"ALTER TABLE {each.table} DROP COLUMN {column}")


async def _strip_locations(url: str, table: str, location: str) -> None:
    """Removes the counters by location."""
    for event in ("insert", "delete", "update"):
        on = "" if url.startswith("sqlite") else f" ON {table}"
        await run_sql(url, f"DROP TRIGGER {table}_counters_{event}{on}")
    await run_sql(url, f"DROP INDEX {shortened_name(f'{table}_{location}_created_on', '_ix')}_ix")


async def rows_from_before(url: str) -> None:
    """A use and its sources up to three references away, as an older program wrote them."""
    when = "0" if url.startswith("sqlite") else "now()"
    base = f"created_on, updated_on, unique_id) VALUES (1, {when}, {when}, '{uuid4()}'"
    for table, columns, values in (
        ("currency", "code, code_fold", "'EUR', 'eur'"),
        ("business", "currency_id", "1"),
        ("coworker", "full_name", "'Ada'"),
        (
            "coworker_booking_credit",
            "business_id, coworker_id, description, description_fold, remaining_credit, total_credit",
            "1, 1, 'Grant', 'grant', 0, 0",
        ),
        ("coworker_booking_credit_use_history", "coworker_booking_credit_id", "1"),
    ):
        await run_sql(url, f"INSERT INTO {table} (id, {base}, {values})".replace(
            "unique_id)", f"unique_id, {columns})"
        ))  # fmt: skip
