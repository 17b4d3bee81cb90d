"""Sets the funding of a credit after it was granted (rule 35)."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.ledger.journal.accounts import EntryMetadata
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.journal.terms import change_document, changed_funding
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.corrections import require_visible
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.funding import Funding
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def set_funding(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    funding: Funding,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> int:
    """Sets the funding of credits; returns how many it changed, each by a journal entry.

    Raises ValidationError for a price below zero and for a credit that has no balance.
    """
    if funding.price_paid is not None and funding.price_paid < 0:
        raise invalid_field("PricePaid", "must not be negative")
    journal = await lock_accounts(session, accounts, ledger.clock)
    changed = 0
    for account in accounts:
        before = require_visible(context, journal, account).state.funding
        if before == funding:
            continue
        metadata = EntryMetadata(
            context.principal.email,
            Cause.FUNDING_CHANGED,
            reason,
            idempotency_key=context.idempotency_key,
            document=change_document(changed_funding(before, funding)),
        )
        journal.append(account, EntryType.CHANGE, 0, metadata)
        journal.set_state(account, funding=funding)
        changed += 1
    await journal.flush(session)
    return changed
