"""A credit under lock, and the entries pending on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct, structs

from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import JournalEntry
from creditdesk.ledger.journal.invariants import AccountBalances
from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping
from creditdesk.ledger.journal.values import ReservedAmount, StoredCredit, StoredState
from creditdesk.ledger.rules.amounts import Amount

HistoryColumns = Mapping[str, object]
"""Columns of a use-history row, by name."""


class EntryMetadata(Struct, frozen=True, gc=False):
    """Who writes an entry, why, and for what.

    `cause` is the coded cause, `reason` its free text (rule 36).
    `effective` is when it takes effect; None means when it is recorded. `customer_id` is the
    customer it was written for, `document` the terms of a grant, a change or a hold as canonical JSON.
    """

    actor: str
    cause: Cause
    reason: str = ""
    source_kind: str | None = None
    source_id: int | None = None
    idempotency_key: str | None = None
    reverses: int | None = None
    effective: datetime | None = None
    override: bool = False
    customer_id: int | None = None
    document: str | None = None


class LockedAccount(Struct, frozen=True, gc=False):
    """One locked credit: its stored record, its state, and its current balances.

    `ended` are timed-out holds whose releases are not written yet (rule 26).
    """

    mapping: CreditTypeMapping
    stored: StoredCredit
    state: StoredState
    remaining: Amount
    held: Amount
    total: Amount
    sequence: int
    recorded: datetime
    overdraft: Amount = 0
    ended: tuple[ReservedAmount, ...] = ()

    @classmethod
    def of(cls, mapping: CreditTypeMapping, credit: StoredCredit, state: StoredState, now: datetime) -> LockedAccount:
        """The account as stored. Recorded time never runs backwards on one credit (rule 4)."""
        return cls(
            mapping,
            credit,
            state,
            credit.remaining,
            state.held,
            credit.total,
            state.sequence,
            max(now, state.last_recorded) if state.last_recorded else now,
            credit.overdraft,
        )

    @property
    def account(self) -> AccountKey:
        return (self.mapping.account_type, self.stored.id)

    def __str__(self) -> str:
        return f"{self.mapping.credit_entity.__name__} {self.stored.id}"

    @property
    def is_granted(self) -> bool:
        """Whether a grant entry explains the credit; one without cannot be used (rule 38)."""
        return self.sequence > 0

    @property
    def reserved(self) -> Amount:
        """The amount of the holds that have not timed out (rule 26)."""
        return self.held - sum(hold.amount for hold in self.ended)

    @property
    def unreserved(self) -> Amount:
        """The remaining amount that is not reserved; negative while an overdraft is used."""
        return self.remaining - self.reserved

    @property
    def balances(self) -> AccountBalances:
        return AccountBalances(self.remaining, self.held, self.total, self.sequence, self.overdraft)


@dataclass(slots=True)
class PendingEntry:
    """An entry in memory, with the further columns of the history row that shows it.

    Both get their ids at the flush. `ended_hold` is the timed-out hold that the entry releases.
    """

    entry: JournalEntry
    history: HistoryColumns | None = None
    ended_hold: int | None = None

    def link_decision(self, allocation_id: int | None) -> None:
        """Links the entry to the stored decision that it carries out; before the flush."""
        self.entry = structs.replace(self.entry, allocation_id=allocation_id)


class Savepoint(Struct, frozen=True, gc=False):
    """A point of a journal transaction: what was pending, and the accounts as they stood."""

    pending_count: int
    accounts: dict[AccountKey, LockedAccount]
    changed_states: set[AccountKey]
