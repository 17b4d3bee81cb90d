"""Locks accounts for an operation, with the release of holds that have ended (rule 26)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from creditdesk.entities.ledger.hold import Hold
from creditdesk.ledger.journal.accounts import EntryMetadata
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import SYSTEM_ACTOR, AccountKey
from creditdesk.ledger.journal.transaction import Clock, JournalTransaction, lock_stored_accounts
from creditdesk.ledger.loaders.holds import HoldRow, HoldState, lock_ended_holds
from creditdesk.schema.records import update_stamp
from creditdesk.schema.repository import WriteSession


async def lock_accounts(
    session: WriteSession,
    accounts: Iterable[AccountKey],
    clock: Clock,
    *,
    skip_locked: Iterable[AccountKey] = (),
) -> JournalTransaction:
    """Locks accounts as the journal does, without what is held past its time (rules 26, 31).

    A hold ends by itself: its release is written here, before anything else on the account. Left
    as it is where another session has locked the hold, as that session settles it.
    """
    required, optional = set(accounts), set(skip_locked)
    journal = await lock_stored_accounts(session, required, clock, skip_locked=optional)
    holding = [account for account, locked in journal.accounts.items() if locked.held]
    ended = await lock_ended_holds(session, holding, journal.now)
    if not ended:
        return journal
    await write_ends(session, journal, ended, SYSTEM_ACTOR)
    found = journal.accounts.keys()
    return await lock_stored_accounts(session, found, lambda: journal.now)


async def write_ends(session: WriteSession, journal: JournalTransaction, ended: Sequence[HoldRow], actor: str) -> None:
    """Writes the release of locked holds that have ended, as of when they did (rule 26)."""
    for hold in ended:
        metadata = EntryMetadata(
            actor, Cause.TIMED_OUT, "timed out", hold.source_kind.value, hold.source_id, effective=hold.until
        )
        journal.append(hold.account, EntryType.RELEASE, hold.held_amount, metadata)
    await journal.flush(session)
    released = {"State": HoldState.RELEASED.value, **update_stamp(journal.now, actor)}
    await session.update(Hold, [(hold.id, released) for hold in ended])
