"""A journal transaction: locked accounts, pending entries on them, and one flush of both.

An operation locks the accounts it needs, appends entries in memory, and flushes them at the end in
a constant number of statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.hold import Hold
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.states import HoldState
from creditdesk.ledger.journal.accounts import (
    EntryMetadata,
    HistoryColumns,
    LockedAccount,
    PendingEntry,
    Savepoint,
)
from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import (
    RAISES_TOTAL,
    EntryType,
    JournalEntry,
    balance_change,
    epoch_microseconds,
    held_change,
)
from creditdesk.ledger.journal.hash_chain import FORMAT_VERSION, entry_digest
from creditdesk.ledger.journal.invariants import check_invariants
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    STORED_STATE_COLUMNS,
    SYSTEM_ACTOR,
    AccountKey,
    RowChange,
    chain_end_values,
    entry_record,
    new_state_record,
    state_id,
    state_values,
    stored_credit,
    stored_state,
)
from creditdesk.ledger.journal.reasons import OPENING_REASON
from creditdesk.ledger.journal.values import ReservedAmount, StoredCredit
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.assignment import SolutionCache
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.funding import Funding
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import invalid_field
from creditdesk.schema.records import new_record, new_unique_id, update_stamp
from creditdesk.schema.repository import Insert, Update, WriteSession
from creditdesk.settings import LedgerSettings
from creditdesk.telemetry.metrics import JOURNAL_ENTRIES

Clock = Callable[[], datetime]
"""Read once after the locks are taken, so that recorded time follows the locks (rule 4)."""
NOT_GRANTED_MESSAGE: Final = "is explained by no grant, so it cannot be used until an operator adopts it"


@dataclass(frozen=True, slots=True)
class LedgerContext:
    """The clock and the settings of the ledger, and the solutions of baskets it has searched."""

    clock: Clock
    settings: LedgerSettings = field(default_factory=LedgerSettings)
    solutions: SolutionCache = field(default_factory=SolutionCache)


@dataclass(slots=True)
class JournalTransaction:
    """Locked accounts and the entries pending on them. Made by `lock_stored_accounts`."""

    now: datetime
    accounts: dict[AccountKey, LockedAccount]
    pending: list[PendingEntry] = field(default_factory=list)
    changed_states: set[AccountKey] = field(default_factory=set)

    def append(
        self,
        account: AccountKey,
        kind: EntryType,
        amount: Amount,
        metadata: EntryMetadata,
        history: HistoryColumns | None = None,
    ) -> PendingEntry:
        """Appends an entry; `history` holds further columns of the use-history row that shows it.

        The row's `CreditUsed` is the rise of Total less the rise of Remaining, unless given.
        Raises InvariantViolation when the balances would violate an invariant, ValidationError for
        a credit that no grant explains (rule 38).
        """
        found = self.accounts[account]
        if not found.is_granted:
            raise invalid_field(found.mapping.credit_relation, NOT_GRANTED_MESSAGE, found.stored.id)
        self.release_ended(account)
        return self._append(account, kind, amount, metadata, history)

    def open_account(self, account: AccountKey, metadata: EntryMetadata) -> PendingEntry:
        """Appends the first entries of a credit, which explain the balance that it already has.

        Only for a credit that the caller grants (rule 6), or that an operator adopts (rule 38).
        """
        found = self.accounts[account]
        self.accounts[account] = replace(found, remaining=0, total=0)
        pending = self._append(account, EntryType.GRANT, found.total, metadata)
        if found.remaining != found.total:
            # No history row: earlier uses have rows of their own.
            earlier = replace(metadata, cause=Cause.OPENED, reason=OPENING_REASON, document=None)
            self._append(account, EntryType.USE, found.total - found.remaining, earlier)
        return pending

    def add_ended(self, account: AccountKey, hold: ReservedAmount) -> None:
        """Adds a locked hold that has timed out: it reserves nothing, and its release is due."""
        locked = self.accounts[account]
        self.accounts[account] = replace(locked, ended=(*locked.ended, hold))

    def release_ended(self, account: AccountKey, actor: str = SYSTEM_ACTOR) -> None:
        """Appends the releases that are due, effective when the holds timed out (rule 26).

        Called with the account's first entry, so that an operation that writes nothing else writes no release.
        """
        ended = self.accounts[account].ended
        if not ended:
            return
        self.accounts[account] = replace(self.accounts[account], ended=())
        for hold in ended:
            by = EntryMetadata(
                actor, Cause.TIMED_OUT, "timed out", hold.source_kind, hold.source_id, effective=hold.until
            )
            pending = self._append(account, EntryType.RELEASE, hold.amount, by)
            pending.ended_hold = hold.hold_id
            pending.link_decision(hold.allocation_id)

    def _append(
        self,
        account: AccountKey,
        kind: EntryType,
        amount: Amount,
        metadata: EntryMetadata,
        history: HistoryColumns | None = None,
    ) -> PendingEntry:
        before = self.accounts[account]
        remaining = before.remaining + balance_change(kind, amount)
        held = before.held + held_change(kind, amount)
        total = before.total
        if kind is EntryType.GRANT:
            total += amount
        elif kind is EntryType.VOID:
            total -= amount
        elif kind in RAISES_TOTAL:
            total = max(total, remaining)
        recorded = epoch_microseconds(before.recorded)
        entry = JournalEntry(
            credit_kind=before.mapping.account_type,
            credit_id=before.stored.id,
            sequence=before.sequence + 1,
            kind=kind,
            amount=amount,
            balance_after=remaining,
            held_after=held,
            total_after=total,
            source_kind=metadata.source_kind,
            source_id=metadata.source_id,
            actor=metadata.actor,
            reason=metadata.reason,
            idempotency_key=metadata.idempotency_key,
            reverses=metadata.reverses,
            rule_version=RULES_VERSION,
            effective_microseconds=epoch_microseconds(metadata.effective) if metadata.effective else recorded,
            recorded_microseconds=recorded,
            override=metadata.override,
            cause=metadata.cause,
            location_id=before.stored.business_id,
            owner_id=before.stored.customer_id,
            member_id=self._member(before, metadata),
            document=metadata.document,
            format_version=FORMAT_VERSION,
        )
        after = replace(before, remaining=remaining, held=held, total=total, sequence=entry.sequence)
        check_invariants(after.balances, after)
        row = None
        if history is not None:
            used = (total - before.total) - (remaining - before.remaining)
            row = {before.mapping.credit_reference: entry.credit_id, "CreditUsed": used, **history}
        pending = PendingEntry(entry, row)
        self.accounts[account] = after
        self.pending.append(pending)
        return pending

    @staticmethod
    def _member(credit: LockedAccount, metadata: EntryMetadata) -> int | None:
        return None if metadata.customer_id == credit.stored.customer_id else metadata.customer_id

    def set_state(
        self,
        account: AccountKey,
        *,
        priority: int | None = None,
        expiry_recorded: datetime | UnsetType | None = UNSET,
        granted_from: int | None = None,
        times_rolled: int | None = None,
        funding: Funding | None = None,
    ) -> None:
        """Changes the given values of the account's state."""
        locked = self.accounts[account]
        state = locked.state
        changed = replace(
            state,
            priority=state.priority if priority is None else priority,
            expiry_recorded=state.expiry_recorded if expiry_recorded is UNSET else expiry_recorded,
            granted_from=granted_from or state.granted_from,
            times_rolled=state.times_rolled if times_rolled is None else times_rolled,
            funding=funding or state.funding,
        )
        self.accounts[account] = replace(locked, state=changed)
        self.changed_states.add(account)

    def savepoint(self) -> Savepoint:
        """Marks this point for `rollback_to`."""
        return Savepoint(len(self.pending), dict(self.accounts), set(self.changed_states))

    def rollback_to(self, savepoint: Savepoint) -> None:
        """Drops every entry and state change made since the savepoint."""
        self.accounts = savepoint.accounts
        self.changed_states = savepoint.changed_states
        del self.pending[savepoint.pending_count :]

    async def flush(self, session: WriteSession, returning: type[Entity] | None = None) -> dict[int, Record]:
        """Writes history rows, journal lines, balances and states in one exchange with the store.

        Returns the new rows of the history `returning`, whole, by id.
        """
        if not (self.pending or self.changed_states):
            return {}
        await self._assign_ids(session)
        entries: list[Record] = []
        histories: dict[type[Entity], list[Record]] = {}
        digests: dict[AccountKey, bytes] = {}
        last_actors: dict[AccountKey, str] = {}
        for pending in self.pending:
            entry = pending.entry
            account = (entry.credit_kind, entry.credit_id)
            locked = self.accounts[account]
            digest = entry_digest(digests.get(account, locked.state.digest), entry)
            digests[account] = digest
            entries.append(entry_record(entry, digest))
            if pending.history is not None:
                history = locked.mapping.history_entity
                row = new_record(history, pending.history, locked.recorded, entry.actor)
                histories.setdefault(history, []).append({**row, "Id": entry.history_id})
            last_actors[account] = entry.actor
        session.after_commit(partial(_count_entries, [pending.entry for pending in self.pending]))
        new_states, state_updates = self._state_writes(digests)
        inserts = {**histories, JournalLine: entries, AccountState: new_states}
        updates = {
            **self._balance_updates(last_actors),
            AccountState: state_updates,
            Hold: self._ended_hold_updates(),
        }
        return await session.write(
            [
                *(Insert(entity, records) for entity, records in inserts.items() if records),
                *(Update(entity, changes) for entity, changes in updates.items() if changes),
            ],
            returning if returning in histories else None,
        )

    def history_ids(self, history: type[Entity]) -> list[int]:
        """The ids of the new rows of a history, after the flush."""
        entries = (pending.entry for pending in self.pending)
        return [
            entry.history_id
            for entry in entries
            if entry.history_id and MAPPINGS[entry.credit_kind].history_entity is history
        ]

    async def _assign_ids(self, session: WriteSession) -> None:
        """Assigns each entry its ids, and the id of the history row that shows it."""
        if not self.pending:
            return
        shown = [MAPPINGS[p.entry.credit_kind].history_entity for p in self.pending if p.history is not None]
        ids = await session.next_ids({**Counter(shown), JournalLine: len(self.pending)})
        free = {entity: iter(of_entity) for entity, of_entity in ids.items()}
        for pending in self.pending:
            entry = pending.entry
            pending.entry = replace(
                entry,
                line_id=next(free[JournalLine]),
                unique_id=new_unique_id(self.now),
                history_id=None if pending.history is None else next(free[MAPPINGS[entry.credit_kind].history_entity]),
            )

    def _balance_updates(self, last_actors: Mapping[AccountKey, str]) -> dict[type[Entity], list[RowChange]]:
        changes: dict[type[Entity], list[RowChange]] = {}
        for account, actor in last_actors.items():
            locked = self.accounts[account]
            values = {
                locked.mapping.remaining_field: locked.remaining,
                locked.mapping.total_field: locked.total,
                **update_stamp(locked.recorded, actor),
            }
            changes.setdefault(locked.mapping.credit_entity, []).append((account[1], values))
        return changes

    def _ended_hold_updates(self) -> list[RowChange]:
        return [
            (
                pending.ended_hold,
                {"State": HoldState.RELEASED.value, **update_stamp(self.now, pending.entry.actor)},
            )
            for pending in self.pending
            if pending.ended_hold is not None
        ]

    def _state_writes(self, digests: Mapping[AccountKey, bytes]) -> tuple[list[Record], list[RowChange]]:
        """The new state records, and the changes of stored ones in id order."""
        new: list[Record] = []
        changes: list[RowChange] = []
        values = state_values if self.changed_states else chain_end_values
        for account in sorted(digests.keys() | self.changed_states, key=state_id):
            locked = self.accounts[account]
            state = replace(
                locked.state,
                digest=digests.get(account, locked.state.digest),
                sequence=locked.sequence,
                held=locked.held,
                last_recorded=locked.recorded,
            )
            if state.is_new:
                new.append(new_state_record(account, state, self.now))
            else:
                changes.append((state_id(account), values(account, state)))
        return new, changes


async def lock_stored_accounts(
    session: WriteSession,
    accounts: Iterable[AccountKey],
    clock: Clock,
    *,
    skip_locked: Iterable[AccountKey] = (),
) -> JournalTransaction:
    """Locks credits (money before time, each in id order) and their states, then reads the clock.

    Leaves out credits that no longer exist, and those of `skip_locked` that another transaction has locked.
    """
    required, optional = set(accounts), set(skip_locked)
    credits_: dict[AccountKey, StoredCredit] = {}
    for account_type, mapping in MAPPINGS.items():
        found = await session.lock(
            mapping.credit_entity,
            [credit_id for kind, credit_id in required if kind is account_type],
            mapping.credit_columns,
            skip_locked=[credit_id for kind, credit_id in optional if kind is account_type],
        )
        for credit_id in sorted(found):
            credits_[account_type, credit_id] = stored_credit(mapping, found[credit_id])
    states: dict[int, Record] = {}
    if credits_:
        states = await session.lock(AccountState, sorted(map(state_id, credits_)), STORED_STATE_COLUMNS)
    now = clock()
    return JournalTransaction(
        now,
        {
            account: LockedAccount.of(
                MAPPINGS[account[0]],
                credit,
                stored_state(account, states.get(state_id(account))),
                now,
            )
            for account, credit in credits_.items()
        },
    )


def _count_entries(entries: Iterable[JournalEntry]) -> None:
    for entry in entries:
        JOURNAL_ENTRIES.count(entry.credit_kind.value, entry.kind.value)
