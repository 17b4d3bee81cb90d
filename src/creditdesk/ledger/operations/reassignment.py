"""Whether a credit may change its owner, and its rate, which decides its kind (rules 1, 5, 16)."""

from __future__ import annotations

from typing import Final

from creditdesk.ledger.journal.accounts import LockedAccount
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.values import CreditTerms
from creditdesk.ledger.loaders.entries import load_entries
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import ReadSession

_PAYMENTS: Final = frozenset({EntryType.USE, EntryType.REVERSAL})


async def require_reassignable(session: ReadSession, locked: LockedAccount, terms: CreditTerms) -> None:
    """Raises ValidationError for a new owner or rate of a credit that was used or is held."""
    stored = locked.stored
    changes = [
        (field, after)
        for field, before, after in (
            ("Coworker", stored.customer_id, terms.customer_id),
            ("ExtraService", stored.rate_id, terms.rate_id),
        )
        if before != after
    ]
    if not changes:
        return
    entries = (await load_entries(session, [locked.account])).get(locked.account, [])
    was_used = locked.remaining != locked.total or any(e.kind in _PAYMENTS for e in entries)
    for field, after in changes:
        if was_used or locked.reserved:
            raise invalid_field(
                field,
                "cannot be changed, as the credit was used" if was_used else "cannot be changed, as the credit is held",
                after,
            )
