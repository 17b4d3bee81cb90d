"""Credits that have expired with something left (rule 28)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.mapping import (
    AccountKey,
    CreditTypeMapping,
    is_booking_charge,
    state_id,
)
from creditdesk.ledger.loaders.rows import TypedRow, find_by_id
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession


class ExpiredPage(NamedTuple):
    """Accounts that need an expiry entry, and the last credit looked at; None when none was."""

    accounts: list[AccountKey]
    last_id: int | None


class _ExpiryRow(TypedRow, frozen=True, gc=False):
    entity = AccountState

    expiry_swept: datetime | None


async def find_expired(
    session: ReadSession,
    mapping: CreditTypeMapping,
    now: datetime,
    *,
    limit: int,
    after_id: int = 0,
) -> ExpiredPage:
    """Of the next `limit` credits that have expired at `now` with something left, those whose
    journal has no entry for that expiry yet.
    """
    columns = mapping.credit_entity.meta().columns
    filters = (
        Filter(columns["ExpireDate"], Comparison.AT_MOST, now),
        Filter(columns[mapping.remaining_field], Comparison.AT_LEAST, 1),
    )
    found = await session.find(mapping.credit_entity, filters, limit=limit, after_id=after_id)
    if not found:
        return ExpiredPage([], None)
    expires = {
        (mapping.account_type, credit["Id"]): credit["ExpireDate"]
        for credit in found
        if not is_booking_charge(mapping, credit)
    }
    states = await find_by_id(session, _ExpiryRow, [state_id(account) for account in expires])
    recorded = {account: states.get(state_id(account)) for account in expires}
    accounts = [
        account for account, state in recorded.items() if state is None or state.expiry_swept != expires[account]
    ]
    return ExpiredPage(accounts, found[-1]["Id"])
