"""Credits that have expired with something left (rule 28)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping, state_id
from creditdesk.schema.cross_checks import Counterpart, Pairing
from creditdesk.schema.query import Comparison, Filter
from creditdesk.schema.repository import ReadSession


class ExpiredPage(NamedTuple):
    """Accounts that need an expiry entry, and the Id of the last one; None without any."""

    accounts: list[AccountKey]
    last_id: int | None


def without_charges(mapping: CreditTypeMapping) -> tuple[Filter, ...]:
    """Filters that leave out booking charges, which have no balance and no journal (rule 5)."""
    if mapping.account_type is AccountType.MONEY:
        return ()
    columns = mapping.credit_entity.meta().columns
    return tuple(Filter(columns[name], Comparison.NULL) for name in ("BookingId", "BookingUniqueId"))


async def find_expired(
    session: ReadSession,
    mapping: CreditTypeMapping,
    now: datetime,
    *,
    limit: int,
    after_id: int = 0,
) -> ExpiredPage:
    """The next `limit` credits after an Id that have expired at `now` with something left, and whose
    journal has no entry for that expiry yet.
    """
    entity, columns = mapping.credit_entity, mapping.credit_entity.meta().columns
    filters = (
        Filter(columns["Id"], Comparison.AT_LEAST, after_id + 1),
        Filter(columns["ExpireDate"], Comparison.AT_MOST, now),
        Filter(columns[mapping.remaining_field], Comparison.AT_LEAST, 1),
        *without_charges(mapping),
    )
    recorded = Counterpart(
        AccountState,
        (Pairing("Id", "Id", 2, state_id((mapping.account_type, 0))), Pairing("ExpirySwept", "ExpireDate")),
    )
    found = await session.find_unmatched(entity, recorded, filters, limit)
    return ExpiredPage([(mapping.account_type, each) for each in found], found[-1] if found else None)
