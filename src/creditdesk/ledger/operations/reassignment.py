"""Changes of whom a credit belongs to and of its rate, which decides its kind (rules 1, 5, 16)."""

from __future__ import annotations

from typing import Final

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.transaction import JournalTransaction
from creditdesk.ledger.journal.values import CreditTerms
from creditdesk.ledger.loaders.entries import load_entries
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import RequestContext

_PAYMENTS: Final = frozenset({EntryType.USE, EntryType.REVERSAL})


async def reassign(
    session: ReadSession,
    journal: JournalTransaction,
    locked: LockedAccount,
    terms: CreditTerms,
    context: RequestContext,
) -> None:
    """Journals a new owner or rate of a credit; earlier entries stay with the old owner.

    Raises ValidationError for either once the credit was used or is held.
    """
    stored = locked.stored
    changes = [
        (field, label, cause, before, after)
        for field, label, cause, before, after in (
            ("Coworker", "owner", Cause.OWNER_CHANGED, stored.customer_id, terms.customer_id),
            ("ExtraService", "rate", Cause.RATE_CHANGED, stored.rate_id, terms.rate_id),
        )
        if before != after
    ]
    if not changes:
        return
    entries = (await load_entries(session, [locked.account])).get(locked.account, [])
    was_used = locked.remaining != locked.total or any(e.kind in _PAYMENTS for e in entries)
    for field, label, cause, before, after in changes:
        if was_used or locked.held:
            state = "was used" if was_used else "is held"
            raise invalid_field(field, f"cannot be changed, as the credit {state}", after)
        metadata = EntryMetadata(
            context.principal.email,
            cause,
            f"{label} changed from #{before} to #{after}",
            idempotency_key=context.idempotency_key,
        )
        journal.append(locked.account, EntryType.ADJUSTMENT, 0, metadata)
