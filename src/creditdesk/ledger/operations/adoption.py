"""Adoption: an operator explains a credit that no grant in the journal explains (rule 38)."""

from __future__ import annotations

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.invariants import InvariantViolation
from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.journal.terms import grant_document
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.credits import load_credit_values
from creditdesk.ledger.operations.corrections import require_visible
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.schema.errors import StateConflict
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def adopt_credit(
    session: WriteSession,
    account: AccountKey,
    reason: str,
    context: RequestContext,
    ledger: LedgerContext,
) -> LockedAccount:
    """Writes the grant of a credit that has none, so that it can be used (rule 38).

    The grant states the terms that the credit has now; what was used of it is an entry of its own.
    Raises ValidationError for a credit that the principal may not see, StateConflict for one with a
    grant or with balances that no grant allows.
    """
    journal = await lock_accounts(session, [account], ledger.clock)
    credit = require_visible(context, journal, account)
    if credit.is_granted:
        raise StateConflict(f"{credit} has a grant, so there is nothing to adopt.")
    terms = await load_credit_values(session, credit.mapping, account[1])
    metadata = EntryMetadata(
        context.principal.email,
        Cause.ADOPTED,
        reason,
        idempotency_key=context.idempotency_key,
        document=grant_document(credit.mapping.credit_entity, terms, credit.state.funding),
    )
    try:
        journal.open_account(account, metadata)
    except InvariantViolation as violation:
        raise StateConflict(f"{violation}. Correct the record before it is adopted.") from None
    await journal.flush(session)
    return journal.accounts[account]
