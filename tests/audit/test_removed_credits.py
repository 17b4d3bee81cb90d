"""Credits that were removed from the database directly are found (rules 1, 34)."""

from __future__ import annotations

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import state_id
from creditdesk.ledger.services import CreditService
from creditdesk.schema.repository import Store
from creditdesk.storage.sqlite import SQLiteStore
from tests.audit.conftest import Tamper, execute
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter

USES = "coworker_booking_credit_use_history"


async def used_credit(ledger: LedgerBuilder) -> int:
    """A credit with a grant and a use."""
    credit = await ledger.add_money_credit("40.00")
    await ledger.post_use(credit, "1.00")
    return credit


async def execute_without_foreign_keys(store: Store, statement: str) -> None:
    if isinstance(store, SQLiteStore):
        off, on = "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"
        for text in (off, statement, on):
            await execute(store, text)
    else:
        role = "SET session_replication_role ="
        await execute(store, f"{role} replica; {statement}; {role} DEFAULT")


async def problems_of(store: Store, credit: int) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    names = (f"money credit {credit}, ", f"money credit {credit}: ")
    return [problem for problem in report.problems if problem.startswith(names)]


async def test_removed_credit_is_reported_when_only_its_journal_is_left(
    store: Store, ledger: LedgerBuilder, tamper: Tamper
) -> None:
    credit = await used_credit(ledger)
    await tamper(f"DELETE FROM {USES} WHERE coworker_booking_credit_id = {credit}")
    await tamper(f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    gone = f"money credit {credit}: the credit is gone and its journal of 2 lines does not say that it was deleted"
    assert await problems_of(store, credit) == [gone]
    await tamper(f"DELETE FROM account_state WHERE id = {state_id((AccountType.MONEY, credit))}")
    assert gone in await problems_of(store, credit)


async def test_removed_credit_is_reported_when_only_its_state_is_left(
    store: Store, ledger: LedgerBuilder, tamper: Tamper
) -> None:
    credit = await used_credit(ledger)
    await tamper(f"DELETE FROM {USES} WHERE coworker_booking_credit_id = {credit}")
    await tamper(f"DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = {credit}")
    await tamper(f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    assert f"money credit {credit}, line 2: the newest lines are cut off: the journal ends at 0" in await problems_of(
        store, credit
    )


async def test_uses_of_removed_credit_are_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await used_credit(ledger)
    await tamper(f"DELETE FROM journal_line WHERE credit_kind = 'money' AND credit_id = {credit}")
    await tamper(f"DELETE FROM account_state WHERE id = {state_id((AccountType.MONEY, credit))}")
    await execute_without_foreign_keys(store, f"DELETE FROM coworker_booking_credit WHERE id = {credit}")
    assert f"money credit {credit}: the credit is gone and has 1 uses" in await problems_of(store, credit)


async def test_chain_of_deleted_credit_is_still_checked(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await ledger.add_money_credit("40.00")
    before = await ledger.get(CoworkerBookingCredit, credit)
    async with store.write_session() as session:
        await CreditService(ledger.context).delete(session, CoworkerBookingCredit, before, ledger.request_context())
    assert await problems_of(store, credit) == []
    await tamper(
        f"UPDATE journal_line SET actor = 'x' WHERE credit_kind = 'money' AND credit_id = {credit} AND sequence = 1"
    )
    assert await problems_of(store, credit) == [
        f"money credit {credit}, line 1: UpdatedBy differs from the entry",
        f"money credit {credit}, line 1: its content does not match its digest and the line before it",
    ]


async def test_line_of_unknown_credit_type_is_reported(store: Store, ledger: LedgerBuilder, tamper: Tamper) -> None:
    credit = await used_credit(ledger)
    (line, _) = await ledger.journal_lines("money", credit)
    await tamper(f"UPDATE journal_line SET credit_kind = 'shells' WHERE id = {line['Id']}")
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert f"JournalLine {line['Id']}: 'shells grant by adopted' is no kind of entry" in report.problems
    await tamper(f"UPDATE journal_line SET credit_kind = 'money', kind = 'gift' WHERE id = {line['Id']}")
    report = CollectingReporter()
    await verify_ledger(store, report)
    assert f"JournalLine {line['Id']}: 'money gift by adopted' is no kind of entry" in report.problems
