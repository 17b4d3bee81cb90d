"""The columns beside an entry and a credit's state are compared with the entries (rule 34)."""

from __future__ import annotations

import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import state_id
from creditdesk.ledger.operations.set_priority import set_priority
from creditdesk.schema.repository import Store
from tests.audit.conftest import Tamper
from tests.support.ledger_builder import LedgerBuilder
from tests.support.progress import CollectingReporter


async def problems_of(store: Store, credit: int) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    account = (AccountType.MONEY, credit)
    return [found.message for found in report.findings if found.account == account]


@pytest.mark.parametrize(
    ("column", "name", "value"),
    [
        ("created_on", "CreatedOn", "updated_on - {second}"),
        ("updated_on", "UpdatedOn", "created_on + {second}"),
        ("updated_by", "UpdatedBy", "'someone@example.com'"),
        ("coworker_booking_credit_id", "CoworkerBookingCreditId", "NULL"),
        ("coworker_extra_service_id", "CoworkerExtraServiceId", "1"),
    ],
)
async def test_changed_column_of_line_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, column: str, name: str, value: str
) -> None:
    credit = await ledger.add_money_credit("40.00")
    await ledger.post_use(credit, "1.00")
    assert await problems_of(store, credit) == []
    value = value.format(second=_second(store))
    await tamper(
        f"UPDATE journal_line SET {column} = {value} WHERE credit_kind = 'money' "
        f"AND credit_id = {credit} AND sequence = 2"
    )
    assert await problems_of(store, credit) == [f"{name} differs from the entry"]


@pytest.mark.parametrize(
    ("column", "name", "value"),
    [
        ("priority", "Priority", "7"),
        ("granted_from", "GrantedFrom", "1"),
        ("expiry_swept", "ExpirySwept", "last_recorded_on"),
    ],
)
async def test_changed_state_is_reported(
    store: Store, ledger: LedgerBuilder, tamper: Tamper, column: str, name: str, value: str
) -> None:
    credit = await ledger.add_money_credit("40.00")
    account = (AccountType.MONEY, credit)
    async with store.write_session() as session:
        await set_priority(session, [account], 3, ledger.request_context(), ledger.context)
    assert await problems_of(store, credit) == []
    value = value.format(second=_second(store))
    await tamper(f"UPDATE account_state SET {column} = {value} WHERE id = {state_id(account)}")
    (problem,) = await problems_of(store, credit)
    assert problem.startswith(f"{name} of its state is ")


def _second(store: Store) -> str:
    return "1000000" if hasattr(store, "connection") else "interval '1 second'"
