"""Expiry of every credit that is due, in the session of a test."""

from __future__ import annotations

from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping
from creditdesk.ledger.journal.transaction import LedgerContext
from creditdesk.ledger.loaders.expiry import find_expired
from creditdesk.ledger.operations.corrections import write_expiry
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext


async def expire(
    session: WriteSession,
    mapping: CreditTypeMapping,
    context: RequestContext,
    ledger: LedgerContext,
) -> list[AccountKey]:
    """Writes the missing expiry entries and returns their accounts."""
    page = await find_expired(session, mapping, ledger.clock(), limit=500)
    return await write_expiry(session, page.accounts, context, ledger)
