"""What the database itself refuses: changes of history, impossible balances."""

from __future__ import annotations

from typing import Any

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.catalog import CATALOG
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import Conflict
from creditdesk.schema.fields import DateTime
from creditdesk.schema.repository import Store
from creditdesk.storage.naming import column_name, table_name
from tests.storage.storage_contract import insert_rows
from tests.support.databases import run_sql_in_store
from tests.support.record_builder import NOW, RecordBuilder

APPEND_ONLY = tuple(entity for entity in CATALOG if entity.append_only)


async def history(builder: RecordBuilder, entity: type[Entity]) -> int:
    values: dict[str, Any] = {}
    if entity is JournalLine:
        values = {"BusinessId": await builder.shared_id("Business"), "CreditId": 1}
        values |= {"CreditKind": "money", "Kind": "grant", "EffectiveOn": NOW, "RecordedOn": NOW}
        values["Sequence"] = next(_sequences)
    return await builder.create(entity, **values)


_sequences = iter(range(1, 1000))


def test_append_only_entities() -> None:
    assert set(APPEND_ONLY) >= {
        CoworkerBookingCreditUseHistory, CoworkerExtraServiceUseHistory, JournalLine,
    }  # fmt: skip


@pytest.mark.parametrize("entity", APPEND_ONLY, ids=lambda e: e.__name__)
class TestHistory:
    """A row of history stays as it was written."""

    async def test_program_cannot_delete_it(self, store: Store, builder: RecordBuilder, entity: type[Entity]) -> None:
        line = await history(builder, entity)
        with pytest.raises(Exception, match=r"append-only|Another change"):
            async with store.write_session() as unit:
                await unit.delete(entity, [line])
        async with store.read_session() as reading:
            assert await reading.get(entity, line)

    async def test_sql_cannot_delete_it(self, builder: RecordBuilder, store: Store, entity: type[Entity]) -> None:
        line = await history(builder, entity)
        with pytest.raises(Exception, match="append-only"):
            await run_sql_in_store(store, f"DELETE FROM {table_name(entity)} WHERE id = {line}")

    async def test_sql_cannot_change_fixed_columns(
        self, builder: RecordBuilder, store: Store, entity: type[Entity]
    ) -> None:
        line, other = await history(builder, entity), await history(builder, entity)
        table = table_name(entity)
        for column in entity.meta().stored_columns:
            if column.name in entity.mutable_fields:
                continue
            name = column_name(column)
            [(kept,)] = await run_sql_in_store(store, f"SELECT {name} FROM {table} WHERE id = {line}")
            new = "-id" if name == "id" else "NULL"
            if kept is None:
                new = "CURRENT_TIMESTAMP" if isinstance(column.field, DateTime) else "'1'"
            with pytest.raises(Exception, match="append-only"):
                await run_sql_in_store(store, f"UPDATE {table} SET {name} = {new} WHERE id IN ({line}, {other})")

    async def test_sql_cannot_replace_or_truncate(
        self, builder: RecordBuilder, store: Store, database: str, entity: type[Entity]
    ) -> None:
        line, table = await history(builder, entity), table_name(entity)
        with pytest.raises(Exception, match="append-only"):
            if database.startswith("sqlite"):
                await run_sql_in_store(store, f"REPLACE INTO {table} SELECT * FROM {table} WHERE id = {line}")
            else:
                await run_sql_in_store(store, f"TRUNCATE {table} CASCADE")

    async def test_mutable_columns_can_be_changed(
        self, store: Store, builder: RecordBuilder, entity: type[Entity]
    ) -> None:
        line = await history(builder, entity)
        if not entity.mutable_fields:
            with pytest.raises(Exception, match=r"append-only|Another change"):
                async with store.write_session() as unit:
                    await unit.update(entity, [(line, {"SystemId": "mine"})])
            return
        async with store.write_session() as unit:
            await unit.update(entity, [(line, {"SystemId": "mine"})])
        async with store.read_session() as reading:
            record = await reading.get(entity, line)
        assert record is not None
        assert record["SystemId"] == "mine"


@pytest.mark.parametrize(
    ("entity", "remaining", "total"),
    [
        (CoworkerBookingCredit, "RemainingCredit", "TotalCredit"),
        (CoworkerExtraService, "RemainingUses", "TotalUses"),
    ],
)
@pytest.mark.parametrize("bad", [-1, 11])
async def test_balance_stays_within_its_bounds(
    store: Store, builder: RecordBuilder, entity: type[Entity], remaining: str, total: str, bad: int
) -> None:
    credit = await builder.create(entity, **{remaining: 10, total: 10})
    with pytest.raises(Conflict):
        async with store.write_session() as unit:
            await unit.update(entity, [(credit, {remaining: bad})])
    with pytest.raises(Conflict):
        await builder.create(entity, **{remaining: bad, total: 10})
    async with store.read_session() as reading:
        record = await reading.get(entity, credit)
    assert record is not None
    assert record[remaining] == 10


async def test_duplicate_unique_values_are_refused(store: Store) -> None:
    from creditdesk.entities.ledger.benefit_grant import BenefitGrant

    row = {"Key": "one contract", "PeriodStart": NOW, "ContractId": 1, "CreditId": 1}
    await insert_rows(store, BenefitGrant, row)
    with pytest.raises(Conflict):
        await insert_rows(store, BenefitGrant, row)
