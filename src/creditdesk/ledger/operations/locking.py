"""Locks accounts for an operation, and settles their timed-out holds (rule 26)."""

from __future__ import annotations

from collections.abc import Iterable

from creditdesk.ledger.journal.mapping import AccountKey
from creditdesk.ledger.journal.transaction import Clock, JournalTransaction, lock_stored_accounts
from creditdesk.ledger.loaders.holds import lock_ended_holds
from creditdesk.schema.repository import WriteSession


async def lock_accounts(
    session: WriteSession,
    accounts: Iterable[AccountKey],
    clock: Clock,
    *,
    skip_locked: Iterable[AccountKey] = (),
) -> JournalTransaction:
    """Locks accounts as the journal does; their timed-out holds reserve nothing (rules 26, 31).

    The release of a timed-out hold is written with the first entry on the account. A hold that another session has
    locked is left to that session.
    """
    journal = await lock_stored_accounts(session, accounts, clock, skip_locked=skip_locked)
    holding = [account for account, locked in journal.accounts.items() if locked.held and locked.is_granted]
    for hold in await lock_ended_holds(session, holding, journal.now):
        journal.add_ended(hold.account, hold.as_reserved)
    return journal
