"""Journal entries of accounts and of bookings."""

from __future__ import annotations

from collections.abc import Collection

from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import EntryType, JournalEntry
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey, entry_from_record
from creditdesk.ledger.loaders.uses import load_booking_uses
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import SourceKind
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession


async def load_entries(session: ReadSession, accounts: Collection[AccountKey]) -> dict[AccountKey, list[JournalEntry]]:
    """The journal entries of accounts, each account's in order of sequence."""
    found: dict[AccountKey, list[JournalEntry]] = {}
    for account_type in {account_type for account_type, _ in accounts}:
        ids = tuple(credit_id for kind, credit_id in accounts if kind is account_type)
        on_credits = where(JournalLine, CreditKind=account_type.value, CreditId=ids)
        for record in await session.find(JournalLine, on_credits):
            entry = entry_from_record(record)
            found.setdefault((account_type, entry.credit_id), []).append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: entry.sequence)
    return found


async def load_booking_amounts(session: ReadSession, booking_id: int) -> dict[AccountKey, Amount]:
    """What a booking used of each account, less what was reversed; accounts with nothing left out.

    In order of first use.
    """
    entries: list[tuple[int, JournalEntry]] = []
    for mapping in MAPPINGS.values():
        # The history rows name the credits; the journal has no index on bookings.
        uses = await load_booking_uses(session, mapping, booking_id)
        if not uses:
            continue
        on_booking = where(
            JournalLine,
            CreditKind=mapping.account_type.value,
            CreditId={use.credit_id for use in uses.values()},
            SourceKind=SourceKind.BOOKING.value,
            SourceId=booking_id,
        )
        found = await session.find(JournalLine, on_booking)
        entries += [(record["Id"], entry_from_record(record)) for record in found]
    taken: dict[AccountKey, Amount] = {}
    for _, entry in sorted(entries, key=lambda numbered: numbered[0]):
        if entry.kind in (EntryType.USE, EntryType.REVERSAL):
            account = (entry.credit_kind, entry.credit_id)
            taken[account] = taken.get(account, 0) - entry.balance_change
    return {account: amount for account, amount in taken.items() if amount}
