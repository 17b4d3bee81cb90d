"""Setting how far below zero a printing credit may go (rule 33).

This module must not know commands or the wire.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import TIME_MAPPING, AccountKey
from creditdesk.ledger.journal.transaction import EntryMetadata, LedgerContext, lock_accounts
from creditdesk.ledger.operations.corrections import require_visible
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

    Each change is a journal line of its own. Raises Invalid for a limit below zero or below what
    is overdrawn and held already, and for credit that is not printing credit.
    """
    if limit < 0:
        raise invalid_field("Limit", "must not be negative")
    accounts: list[AccountKey] = [
        (TIME_MAPPING.account_type, credit_id) for credit_id in credit_ids
    ]
    journal = await lock_accounts(session, accounts, ledger.clock)
    # Read under the lock: only a credit's rate says whether it is printing credit (rule 5).
    whole = await session.get_many(TIME_MAPPING.credit_entity, credit_ids)
    for account in accounts:
        credit = require_visible(context, journal, account)
        if not whole[account[1]]["ExtraServiceIsPrintingCredit"]:
            raise invalid_field("Limit", f"credit #{account[1]} is not printing credit (rule 33)")
        if credit.unreserved + limit < 0:
            raise invalid_field(
                "Limit",
                f"must not be less than the {-credit.unreserved} that is overdrawn (rule 33)",
            )
        journal.accounts[account] = replace(credit, overdraft=limit)
        metadata = EntryMetadata(
            context.principal.email, f"overdraft {limit}", idempotency_key=context.idempotency_key
        )
        journal.append(account, EntryType.ADJUSTMENT, 0, metadata)
    # The limit goes first: the database holds every balance against it.
    await session.update(
        TIME_MAPPING.credit_entity, [(credit_id, {"Overdraft": limit}) for credit_id in credit_ids]
    )
    await journal.flush(session)
