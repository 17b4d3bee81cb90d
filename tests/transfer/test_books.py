"""What strangers and `verify` say of the books: sound ones pass, meddled ones do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from beancount import loader

from creditdesk.audit.verify import verify
from creditdesk.demo.load import tell
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.schema.entity import Entity
from creditdesk.schema.progress import Gathered
from creditdesk.schema.repository import Store
from creditdesk.transfer.beancount import export_beancount


async def findings(store: Store) -> list[str]:
    report = Gathered()
    await verify(store, report)
    return report.problems


async def meddle(store: Store, entity: type[Entity], record_id: int, **values: Any) -> None:
    async with store.writing() as unit:
        await unit.update(entity, [(record_id, values)])


async def test_a_strangers_program_accepts_the_ledger_and_refuses_a_wrong_balance(
    sqlite_store: Store, tmp_path: Path
) -> None:
    await tell(sqlite_store, 80, 5, Gathered())
    file = tmp_path / "books" / "credits.beancount"
    assert await export_beancount(sqlite_store, file, Gathered()) > 10
    entries, faults, _ = loader.load_file(str(file))
    assert faults == []
    assert sum(type(entry).__name__ == "Transaction" for entry in entries) > 80
    await meddle(sqlite_store, CoworkerBookingCredit, 1, RemainingCredit=1, TotalCredit=10**9)
    await export_beancount(sqlite_store, file, Gathered())
    _, faults, _ = loader.load_file(str(file))
    assert [type(fault).__name__ for fault in faults] == ["BalanceError"]
    assert "Assets:Credit:Money1" in faults[0].message


async def test_sound_books_have_no_findings(sqlite_store: Store) -> None:
    await tell(sqlite_store, 80, 6, Gathered())
    assert await findings(sqlite_store) == []


async def test_a_kept_total_that_is_not_that_of_the_records_is_found(store: Store) -> None:
    await tell(store, 40, 6, Gathered())
    assert await findings(store) == []
    async with store.reading() as reading:
        uses = await reading.count(CoworkerBookingCreditUseHistory)
    wrong = (
        "UPDATE coworker_booking_credit_use_history_tally SET n = n - 3 "
        "WHERE bucket = 0 AND bits = 18"
    )
    if hasattr(store, "pool"):
        async with store.pool.acquire() as connection:
            await connection.execute(wrong)
    else:
        store.connection.execute(wrong)  # type: ignore[attr-defined]
    assert await findings(store) == [
        f"CoworkerBookingCreditUseHistory: {uses - 3} are counted with Id from 0, "
        f"but there are {uses}"
    ]


async def test_a_meddled_balance_is_found(sqlite_store: Store) -> None:
    await tell(sqlite_store, 40, 6, Gathered())
    async with sqlite_store.reading() as reading:
        before = await reading.get(CoworkerBookingCredit, 2)
    assert before is not None
    total = before["TotalCredit"]
    await meddle(sqlite_store, CoworkerBookingCredit, 2, TotalCredit=total + 1)
    assert await findings(sqlite_store) == [
        f"CoworkerBookingCredit 2: total is {total + 1} and the journal says {total}"
    ]


async def test_cut_off_lines_are_found_by_the_head_kept_beside_the_credit(
    sqlite_store: Store,
) -> None:
    await tell(sqlite_store, 40, 6, Gathered())
    async with sqlite_store.reading() as reading:
        state = (await reading.find(CreditState, limit=1))[0]
    await meddle(sqlite_store, CreditState, state["Id"], Digest="00" * 32)
    found = await findings(sqlite_store)
    assert len(found) == 1
    assert found[0].endswith("the journal's newest digest is not the one recorded with the credit")


@pytest.mark.parametrize("uses", [1, 13, 57])
async def test_the_demo_makes_as_many_uses_as_asked_and_they_fit(
    sqlite_store: Store, uses: int
) -> None:
    report = Gathered()
    await tell(sqlite_store, uses, 2, report)
    async with sqlite_store.reading() as reading:
        lines = await reading.find(CreditState)
    assert report.rows >= uses
    assert lines
    assert await findings(sqlite_store) == []


async def test_a_copied_name_that_differs_from_its_source_is_found(sqlite_store: Store) -> None:
    await tell(sqlite_store, 40, 6, Gathered())
    for trigger in (
        "coworker_booking_credit_use_history_booking_id_true",
        "coworker_booking_credit_use_history_no_update",
    ):
        sqlite_store.connection.execute(f"DROP TRIGGER {trigger}")
    [(use,)] = sqlite_store.connection.execute(
        "UPDATE coworker_booking_credit_use_history SET booking_resource_name = 'Elsewhere' "
        "WHERE id = (SELECT min(id) FROM coworker_booking_credit_use_history "
        "WHERE booking_id IS NOT NULL) RETURNING id"
    ).fetchall()
    assert await findings(sqlite_store) == [
        f"CoworkerBookingCreditUseHistory {use}: BookingResourceName differs from the record it "
        "is copied from"
    ]
