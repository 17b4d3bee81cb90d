"""Setting the priority of credits in the order of payment (rule 18)."""

from __future__ import annotations

from collections.abc import Sequence

from creditdesk.ledger.journal.accounts import EntryMetadata
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.journal.terms import change_document
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.operations.corrections import require_visible
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def set_priority(
    session: WriteSession,
    accounts: Sequence[AccountKey],
    priority: int,
    context: RequestContext,
    ledger: LedgerContext,
) -> None:
    """Sets the priority of credits in the order of payment, lowest first (rule 18, number 3)."""
    journal = await lock_accounts(session, accounts, ledger.clock)
    for account in accounts:
        before = require_visible(context, journal, account).state.priority
        metadata = EntryMetadata(
            context.principal.email,
            Cause.PRIORITY_CHANGED,
            f"priority {priority}",
            idempotency_key=context.idempotency_key,
            document=change_document({"Priority": (before, priority)}),
        )
        journal.append(account, EntryType.CHANGE, 0, metadata)
        journal.set_state(account, priority=priority)
    await journal.flush(session)
