"""`verify` and Beancount accept an intact ledger and reject a changed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beancount import loader

from creditdesk.audit.verify import verify_ledger
from creditdesk.demo.load import load_demo
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.rules.amounts import format_money
from creditdesk.schema.entity import Entity
from creditdesk.schema.repository import Store
from creditdesk.transfer.beancount import export_beancount
from tests.support.databases import run_sql_in_store
from tests.support.progress import CollectingReporter


async def verify_problems(store: Store) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return report.problems


async def tamper(store: Store, entity: type[Entity], record_id: int, **values: Any) -> None:
    async with store.write_session() as session:
        await session.update(entity, [(record_id, values)])


async def test_beancount_accepts_ledger_and_rejects_wrong_balance(sqlite_store: Store, tmp_path: Path) -> None:
    await load_demo(sqlite_store, 80, 5, CollectingReporter())
    file = tmp_path / "accounts" / "credits.beancount"
    assert await export_beancount(sqlite_store, file, CollectingReporter()) > 10
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) > 80
    await tamper(sqlite_store, CoworkerBookingCredit, 1, RemainingCredit=1, TotalCredit=10**9)
    await export_beancount(sqlite_store, file, CollectingReporter())
    _, errors, _ = loader.load_file(str(file))
    assert [type(error).__name__ for error in errors] == ["BalanceError"]
    assert "Assets:Credit:Money1" in errors[0].message


async def test_intact_ledger_verifies(sqlite_store: Store) -> None:
    await load_demo(sqlite_store, 80, 6, CollectingReporter())
    assert await verify_problems(sqlite_store) == []


async def test_counter_mismatch_is_reported(store: Store) -> None:
    await load_demo(store, 40, 6, CollectingReporter())
    assert await verify_problems(store) == []
    async with store.read_session() as session:
        uses = await session.count(CoworkerBookingCreditUseHistory)
    wrong = "UPDATE coworker_booking_credit_use_history_counters SET n = n - 3 WHERE bucket = 0 AND bits = 18"
    if hasattr(store, "pool"):
        async with store.pool.acquire() as connection:
            await connection.execute(wrong)
    else:
        store.connection.execute(wrong)  # type: ignore[attr-defined]
    assert await verify_problems(store) == [
        f"CoworkerBookingCreditUseHistory: {uses - 3} are counted with Id from 0, but there are {uses}"
    ]


async def test_changed_balance_is_reported(sqlite_store: Store) -> None:
    await load_demo(sqlite_store, 40, 6, CollectingReporter())
    async with sqlite_store.read_session() as session:
        before = await session.get(CoworkerBookingCredit, 2)
    assert before is not None
    total = before["TotalCredit"]
    await tamper(sqlite_store, CoworkerBookingCredit, 2, TotalCredit=total + 1)
    assert await verify_problems(sqlite_store) == [
        f"money credit 2: total is {format_money(total + 1)} EUR and the journal says {total // 10_000}.00 EUR"
    ]


async def test_changed_head_digest_is_reported(
    sqlite_store: Store,
) -> None:
    await load_demo(sqlite_store, 40, 6, CollectingReporter())
    async with sqlite_store.read_session() as session:
        state = (await session.find(AccountState, limit=1))[0]
    await tamper(sqlite_store, AccountState, state["Id"], Digest="00" * 32)
    found = await verify_problems(sqlite_store)
    assert len(found) == 1
    assert found[0].endswith("the journal's newest digest is not the one recorded with the credit")


@pytest.mark.parametrize("uses", [1, 13, 57])
async def test_demo_creates_requested_number_of_uses(sqlite_store: Store, uses: int) -> None:
    report = CollectingReporter()
    await load_demo(sqlite_store, uses, 2, report)
    async with sqlite_store.read_session() as session:
        lines = await session.find(AccountState)
    assert report.rows >= uses
    assert lines
    assert await verify_problems(sqlite_store) == []


async def test_stale_denormalized_value_is_reported(sqlite_store: Store) -> None:
    await load_demo(sqlite_store, 40, 6, CollectingReporter())
    for trigger in (
        "coworker_booking_credit_use_history_booking_id_true",
        "coworker_booking_credit_use_history_no_update",
    ):
        await run_sql_in_store(sqlite_store, f"DROP TRIGGER {trigger}")
    [(use,)] = await run_sql_in_store(
        sqlite_store,
        "UPDATE coworker_booking_credit_use_history SET booking_resource_name = 'Elsewhere' "
        "WHERE id = (SELECT min(id) FROM coworker_booking_credit_use_history "
        "WHERE booking_id IS NOT NULL) RETURNING id",
    )
    assert await verify_problems(sqlite_store) == [
        f"CoworkerBookingCreditUseHistory {use}: BookingResourceName differs from the record it is copied from"
    ]
