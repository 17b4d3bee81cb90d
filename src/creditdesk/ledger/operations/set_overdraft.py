"""Setting how far below zero a printing credit may go (rule 33)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from creditdesk.ledger.journal.accounts import EntryMetadata
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import TIME_MAPPING, AccountKey
from creditdesk.ledger.journal.terms import change_document
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.credits import load_printing_ids
from creditdesk.ledger.operations.corrections import require_visible
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def set_overdraft(
    session: WriteSession,
    credit_ids: Sequence[int],
    limit: Amount,
    context: RequestContext,
    ledger: LedgerContext,
) -> None:
    """Lets printing credits be used down to `limit` uses below zero; 0 turns it off.

    Each change is a journal entry. Raises ValidationError for a limit below zero or below what is
    overdrawn and held already, and for credit that is not printing credit.
    """
    if limit < 0:
        raise invalid_field("Limit", "must not be negative")
    accounts: list[AccountKey] = [(TIME_MAPPING.account_type, credit_id) for credit_id in credit_ids]
    journal = await lock_accounts(session, accounts, ledger.clock)
    printing = await load_printing_ids(session, credit_ids)
    for account in accounts:
        credit = require_visible(context, journal, account)
        if account[1] not in printing:
            raise invalid_field("Limit", f"credit #{account[1]} is not printing credit")
        if credit.unreserved + limit < 0:
            raise invalid_field(
                "Limit",
                f"must not be less than the {-credit.unreserved} that is overdrawn",
            )
        journal.accounts[account] = replace(credit, overdraft=limit)
        metadata = EntryMetadata(
            context.principal.email,
            Cause.OVERDRAFT_CHANGED,
            f"overdraft {limit}",
            idempotency_key=context.idempotency_key,
            document=change_document({"Overdraft": (credit.overdraft, limit)}),
        )
        journal.append(account, EntryType.CHANGE, 0, metadata)
    # The limit first: the database checks every balance against it.
    await session.update(TIME_MAPPING.credit_entity, [(credit_id, {"Overdraft": limit}) for credit_id in credit_ids])
    await journal.flush(session)
