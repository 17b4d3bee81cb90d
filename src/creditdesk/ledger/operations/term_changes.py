"""Changes of a credit's terms: its window, owner, limits, flags and prices, each a journal entry (rules 4, 28)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from creditdesk.ledger.journal.accounts import EntryMetadata, LockedAccount
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.journal.mapping import SYSTEM_ACTOR, CreditTypeMapping
from creditdesk.ledger.journal.terms import Changes, change_document, changed_terms
from creditdesk.ledger.journal.transaction import JournalTransaction
from creditdesk.ledger.operations.locking import lock_accounts
from creditdesk.ledger.rules.renewal import has_expired, reopens_credit
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

TermsBefore = Mapping[str, Any]
ChangedTerms = tuple[int, TermsBefore, Mapping[str, Any]]
"""A credit's id, its terms before the change, and the new values."""


def write_changes(
    journal: JournalTransaction,
    locked: LockedAccount,
    before: TermsBefore,
    values: Mapping[str, Any],
    context: RequestContext,
    reason: str = "",
) -> None:
    """Writes an entry for each kind of term that `values` changes; none if nothing differs.

    Without a reason, the entry's reason says what changed.
    """
    for cause, changes in changed_terms(locked.mapping.credit_entity, before, values).items():
        metadata = EntryMetadata(
            context.principal.email,
            cause,
            reason or _reason(cause, changes),
            idempotency_key=context.idempotency_key,
            document=change_document(changes),
        )
        journal.append(locked.account, EntryType.CHANGE, 0, metadata)


def change_expiry(
    journal: JournalTransaction,
    locked: LockedAccount,
    expires: datetime | None,
    context: RequestContext,
    reason: str = "expiry extended",
) -> None:
    """Changes the expiry; if an expired credit becomes usable again, that is an entry of its own (rule 28)."""
    before = locked.stored.expires
    if reopens_credit(before, expires, journal.now):
        metadata = EntryMetadata(
            context.principal.email, Cause.WINDOW_MOVED, reason, idempotency_key=context.idempotency_key
        )
        journal.append(locked.account, EntryType.REOPENING, max(0, locked.unreserved), metadata)
    if before != expires and not has_expired(expires, journal.now):
        journal.set_state(locked.account, expiry_recorded=None)


def require_window(valid_from: datetime | None, expires: datetime | None) -> None:
    """Raises ValidationError for a credit that would end before it is valid."""
    if valid_from is not None and expires is not None and expires <= valid_from:
        # The message of the imitated API, its slip included.
        raise invalid_field("ExpireDate", "Expiration data must be greater than valid from date")


async def record_imported_changes(
    session: WriteSession, mapping: CreditTypeMapping, changed: Sequence[ChangedTerms], now: datetime
) -> None:
    """Writes the entries of credits whose terms an import changes; before the credits are updated.

    A credit without a journal gets one later in the import, with its terms of that time.
    """
    differing = {
        credit_id: changes
        for credit_id, before, values in changed
        if (changes := changed_terms(mapping.credit_entity, before, values))
    }
    accounts = [(mapping.account_type, credit_id) for credit_id in differing]
    journal = await lock_accounts(session, accounts, lambda: now)
    for account, locked in journal.accounts.items():
        if not locked.sequence or locked.stored.is_booking_charge:
            continue
        for cause, terms in differing[account[1]].items():
            reason = f"import: {_reason(cause, terms)}"
            metadata = EntryMetadata(SYSTEM_ACTOR, cause, reason, document=change_document(terms))
            journal.append(account, EntryType.CHANGE, 0, metadata)
    await journal.flush(session)


def _reason(cause: Cause, changes: Changes) -> str:
    """Such as `owner changed from #3 to #4`; only the cause if several values or no numbers differ."""
    text = cause.value.replace("_", " ")
    [(before, after), *more] = changes.values()
    return text if more or not isinstance(before, int) or before is True else f"{text} from #{before} to #{after}"
