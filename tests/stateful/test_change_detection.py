"""The change detectors detect every kind of change."""

from __future__ import annotations

import pytest

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, state_id
from creditdesk.ledger.operations.corrections import adjust, void
from creditdesk.schema.entity import Entity
from creditdesk.schema.errors import DomainError
from creditdesk.schema.repository import Store
from tests.stateful.change_detection import ChangeDetector
from tests.stateful.simulation import LEDGER_TABLES
from tests.support.ledger_builder import LedgerBuilder, money
from tests.support.record_builder import RecordBuilder

ALL_ROWS: dict[type[Entity], int] = dict.fromkeys(LEDGER_TABLES, 0)


@pytest.fixture
async def ledger(fast_store: Store) -> LedgerBuilder:
    return await LedgerBuilder.create(fast_store)


async def test_reads_and_locks_are_not_changes(ledger: LedgerBuilder, change_detector: ChangeDetector) -> None:
    credit = await ledger.add_money_credit("10.00")
    before = await change_detector.fingerprint(ALL_ROWS)
    await ledger.remaining_money(credit)
    async with ledger.store.write_session() as unit:
        await unit.lock(CoworkerBookingCredit, [credit])
    assert await change_detector.fingerprint(ALL_ROWS) == before


async def test_rolled_back_writes_are_not_changes(ledger: LedgerBuilder, change_detector: ChangeDetector) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "1.00")
    before = await change_detector.fingerprint(ALL_ROWS)
    with pytest.raises(DomainError):
        async with ledger.store.write_session() as unit:
            await void(
                unit,
                [(MONEY_MAPPING.account_type, credit)],
                "",
                ledger.request_context(),
                ledger.context,
            )
            await adjust(
                unit,
                (MONEY_MAPPING.account_type, credit),
                0,
                "",
                ledger.request_context(),
                ledger.context,
            )
    assert await change_detector.fingerprint(ALL_ROWS) == before


@pytest.mark.parametrize("entity", LEDGER_TABLES, ids=lambda entity: entity.__name__)
async def test_inserted_row_is_a_change(
    ledger: LedgerBuilder,
    change_detector: ChangeDetector,
    builder: RecordBuilder,
    entity: type[Entity],
) -> None:
    before = await change_detector.fingerprint(ALL_ROWS)
    await builder.create(entity)
    assert await change_detector.fingerprint(ALL_ROWS) != before


async def test_updated_row_is_a_change(ledger: LedgerBuilder, change_detector: ChangeDetector) -> None:
    credit = await ledger.add_money_credit("10.00")
    before = await change_detector.fingerprint(ALL_ROWS)
    async with ledger.store.write_session() as unit:
        await unit.update(CoworkerBookingCredit, [(credit, {"TotalCredit": money("10.01")})])
    assert await change_detector.fingerprint(ALL_ROWS) != before


async def test_deleted_row_is_a_change(ledger: LedgerBuilder, change_detector: ChangeDetector) -> None:
    credit = await ledger.add_money_credit("10.00")
    before = await change_detector.fingerprint(ALL_ROWS)
    async with ledger.store.write_session() as unit:
        await unit.delete(CoworkerBookingCredit, [credit])
    assert await change_detector.fingerprint(ALL_ROWS) != before


async def test_updated_account_state_is_a_change(ledger: LedgerBuilder, change_detector: ChangeDetector) -> None:
    credit = await ledger.add_money_credit("10.00")
    await ledger.post_use(credit, "1.00")
    marks = {**dict.fromkeys(LEDGER_TABLES, 10**9), CoworkerBookingCredit: credit - 1}
    before = await change_detector.fingerprint(marks)
    async with ledger.store.write_session() as unit:
        await unit.update(AccountState, [(state_id((MONEY_MAPPING.account_type, credit)), {"Priority": 7})])
    assert await change_detector.fingerprint(marks) != before
