"""The book: locked credits, the lines written on them, and one way of putting both on record.

An operation opens a book over the credits it touches, writes lines in memory, and puts it on
record at the end in a constant number of statements. This module must not know why a line is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import (
    RAISES_TOTAL,
    AccountType,
    EntryType,
    JournalEntry,
    balance_change,
    epoch_microseconds,
    held_change,
)
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest
from creditdesk.ledger.journal.invariants import AccountBalances, check_invariants
from creditdesk.ledger.journal.mapping import (
    MAPPINGS,
    AccountKey,
    CreditTypeMapping,
    entry_record,
    new_record,
    overdraft_limit,
    state_id,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import Insert, Update, WriteSession
from creditdesk.settings import LedgerSettings

Clock = Callable[[], datetime]
"""Asked once after the locks are there, so that recorded time follows the locks (rule 4)."""


@dataclass(frozen=True, slots=True)
class LedgerContext:
    """By which clock and which settings the ledger works."""

    clock: Clock
    settings: LedgerSettings = field(default_factory=LedgerSettings)


class EntryMetadata(Struct, frozen=True, gc=False):
    """Who writes a line, for what and whom, and when it takes effect (blank: when it is recorded)."""

    actor: str
    reason: str = ""
    source_kind: str | None = None
    source_id: int | None = None
    idempotency_key: str | None = None
    reverses: int | None = None
    effective: datetime | None = None
    override: bool = False
    customer_id: int | None = None


class LockedAccount(Struct, frozen=True, gc=False):
    """One credit under lock: its record, its state's record, and its balances now."""

    mapping: CreditTypeMapping
    record: Record
    state: Record | None
    remaining: Amount
    held: Amount
    total: Amount
    sequence: int
    recorded: datetime
    overdraft: Amount = 0

    @property
    def account(self) -> AccountKey:
        return (self.mapping.account_type, self.record["Id"])

    @property
    def name(self) -> str:
        return f"{self.mapping.credit_entity.__name__} {self.record['Id']}"

    @property
    def unreserved(self) -> Amount:
        """What is left beside the holds (rule 26); below zero where an overdraft is drawn on."""
        return self.remaining - self.held

    @property
    def balances(self) -> AccountBalances:
        return AccountBalances(self.remaining, self.held, self.total, self.sequence, self.overdraft)


@dataclass(slots=True)
class PendingEntry:
    """A line as written in memory; its history row gets an id when the book goes on record.

    `member_id` is for whom it was written, where that is not the credit's owner (rule 16).
    """

    entry: JournalEntry
    history: Record | None = None
    member_id: int | None = None


@dataclass(slots=True)
class JournalTransaction:
    """Locked credits and what is written on them. Made by `open_book`."""

    now: datetime
    accounts: dict[AccountKey, LockedAccount]
    pending: list[PendingEntry] = field(default_factory=list)
    state_changes: dict[AccountKey, dict[str, Any]] = field(default_factory=dict)

    def append(
        self,
        account: AccountKey,
        kind: EntryType,
        amount: Amount,
        metadata: EntryMetadata,
        history: Mapping[str, Any] | None = None,
    ) -> PendingEntry:
        """Adds a line; `history` are the further values of the use-history row that shows it.

        The row's `CreditUsed` is the rise of Total less the rise of Remaining, unless given.
        Raises Broken when the credit would come to a state that must not be.
        """
        if not self.accounts[account].sequence:
            self.open_account(account)
        return self._append(account, kind, amount, metadata, history)

    def open_account(
        self, account: AccountKey, metadata: EntryMetadata | None = None
    ) -> PendingEntry:
        """The first lines of a credit, by which it comes to the balance it was found with.

        A new credit gets its grant (rule 6). One that came without a journal, such as by import,
        gets them with the first line that is written on it.
        """
        found = self.accounts[account]
        by = metadata or EntryMetadata(
            actor=found.record["UpdatedBy"] or "system", reason="granted"
        )
        self.accounts[account] = replace(found, remaining=0, total=0)
        pending = self._append(account, EntryType.GRANT, found.total, by)
        if found.remaining != found.total:
            # No history row: what was used before came with rows of its own.
            earlier = replace(by, reason="used before the journal began")
            self._append(account, EntryType.USE, found.total - found.remaining, earlier)
        return pending

    def _append(
        self,
        account: AccountKey,
        kind: EntryType,
        amount: Amount,
        metadata: EntryMetadata,
        history: Mapping[str, Any] | None = None,
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
        entry = JournalEntry(
            credit_kind=before.mapping.account_type,
            credit_id=before.record["Id"],
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
            effective_microseconds=epoch_microseconds(metadata.effective or before.recorded),
            recorded_microseconds=epoch_microseconds(before.recorded),
            override=metadata.override,
        )
        after = replace(
            before, remaining=remaining, held=held, total=total, sequence=entry.sequence
        )
        check_invariants(after.balances, after.name)
        row = None
        if history is not None:
            used = (total - before.total) - (remaining - before.remaining)
            row = {before.mapping.credit_reference: entry.credit_id, "CreditUsed": used, **history}
        pending = PendingEntry(entry, row, self._member(before, metadata))
        self.accounts[account] = after
        self.pending.append(pending)
        return pending

    @staticmethod
    def _member(credit: LockedAccount, metadata: EntryMetadata) -> int | None:
        return None if metadata.customer_id == credit.record["CoworkerId"] else metadata.customer_id

    def set_state(self, account: AccountKey, **state: Any) -> None:
        """Sets fields of the credit's state."""
        self.state_changes.setdefault(account, {}).update(state)

    def savepoint(self) -> tuple[int, dict[AccountKey, LockedAccount]]:
        """Where the book stands, for `back_to`."""
        return len(self.pending), dict(self.accounts)

    def rollback_to(self, savepoint: tuple[int, dict[AccountKey, LockedAccount]]) -> None:
        """Takes back what was written since the mark, as if it had never been."""
        count, self.accounts = savepoint
        del self.pending[count:]

    async def flush(
        self, session: WriteSession, returning: type[Entity] | None = None
    ) -> dict[int, Record]:
        """History rows, journal lines, balances and states, all in one exchange with the store.

        Gives the whole new rows of the history `showing`, by id.
        """
        if not (self.pending or self.state_changes):
            return {}
        line_ids = await self._assign_ids(session)
        digests = {
            account: bytes.fromhex(c.state["Digest"]) if c.state else genesis_digest(*account)
            for account, c in self.accounts.items()
            if c.state or c.sequence or account in self.state_changes
        }
        entries: list[Record] = []
        histories: dict[type[Entity], list[Record]] = {}
        touched: dict[AccountKey, PendingEntry] = {}
        for pending, line_id in zip(self.pending, line_ids, strict=True):
            entry = pending.entry
            account = (entry.credit_kind, entry.credit_id)
            digest = digests[account] = entry_digest(digests[account], entry)
            credit = self.accounts[account]
            of = credit.record
            record = entry_record(
                entry, digest, of["BusinessId"], of["CoworkerId"], pending.member_id
            )
            entries.append({**record, "Id": line_id})
            if pending.history is not None:
                row = new_record(
                    credit.mapping.history_entity, pending.history, self.now, entry.actor
                )
                histories.setdefault(credit.mapping.history_entity, []).append(row)
            touched[account] = pending
        inserts = {**histories, JournalLine: entries, AccountState: self._new_states(digests)}
        updates = {
            **self._balance_updates(touched),
            AccountState: self._state_updates(digests, touched),
        }
        return await session.write(
            [
                *(Insert(entity, records) for entity, records in inserts.items() if records),
                *(Update(entity, changes) for entity, changes in updates.items() if changes),
            ],
            returning if returning in histories else None,
        )

    def history_ids(self, history: type[Entity]) -> list[int]:
        """The ids of the new rows of a history, once they are on record."""
        return [
            w.entry.history_id for w in self.pending
            if w.entry.history_id and MAPPINGS[w.entry.credit_kind].history_entity is history
        ]  # fmt: skip

    async def _assign_ids(self, session: WriteSession) -> list[int]:
        """Gives the history rows their ids, and the lines theirs in return."""
        shown: dict[type[Entity], list[PendingEntry]] = {}
        for pending in self.pending:
            if pending.history is not None:
                history = MAPPINGS[pending.entry.credit_kind].history_entity
                shown.setdefault(history, []).append(pending)
        if not self.pending:
            return []
        counts = {history: len(rows) for history, rows in shown.items()}
        ids = await session.next_ids({**counts, JournalLine: len(self.pending)})
        for history, rows in shown.items():
            for pending, history_id in zip(rows, ids[history], strict=True):
                assert pending.history is not None
                pending.history["Id"] = history_id
                pending.entry = replace(pending.entry, history_id=history_id)
        return ids[JournalLine]

    def _balance_updates(
        self, touched: Mapping[AccountKey, PendingEntry]
    ) -> dict[type[Entity], list[RowChange]]:
        changes: dict[type[Entity], list[RowChange]] = {}
        for account, pending in touched.items():
            credit = self.accounts[account]
            values = {
                credit.mapping.remaining_field: credit.remaining,
                credit.mapping.total_field: credit.total,
                "UpdatedOn": credit.recorded.replace(microsecond=0),
                "UpdatedBy": pending.entry.actor,
            }
            changes.setdefault(credit.mapping.credit_entity, []).append((account[1], values))
        return changes

    def _new_states(self, digests: Mapping[AccountKey, bytes]) -> list[Record]:
        return [
            new_record(
                AccountState,
                {
                    "Id": state_id(account),
                    "CreditKind": account[0].value,
                    "CreditId": account[1],
                    "Priority": DEFAULT_PRIORITY,
                    **self._chain_state(account, digests[account]),
                    **self.state_changes.get(account, {}),
                },
                self.now,
                "",
            )
            for account, credit in self.accounts.items()
            if credit.state is None and (credit.sequence or account in self.state_changes)
        ]

    def _state_updates(
        self, digests: Mapping[AccountKey, bytes], touched: Mapping[AccountKey, PendingEntry]
    ) -> list[RowChange]:
        changes: list[RowChange] = []
        for account in touched.keys() | self.state_changes.keys():
            state = self.accounts[account].state
            if state is not None:
                # Every change names the same fields, so that they travel together.
                kept = {name: state[name] for name in _STATE_FIELDS}
                noted = {**kept, **self.state_changes.get(account, {})}
                changes.append(
                    (state["Id"], {**noted, **self._chain_state(account, digests[account])})
                )
        return sorted(changes, key=lambda change: change[0])

    def _chain_state(self, account: AccountKey, digest: bytes) -> dict[str, Any]:
        credit = self.accounts[account]
        return {
            "Sequence": credit.sequence,
            "Digest": digest.hex(),
            "Held": credit.held * credit.mapping.scale,
            "LastRecordedOn": credit.recorded,
        }


RowChange = tuple[int, Mapping[str, Any]]
_STATE_FIELDS = ("Priority", "Paid", "ExpirySwept", "GrantedFrom", "TimesRolled")


async def lock_accounts(
    session: WriteSession,
    accounts: Iterable[AccountKey],
    clock: Clock,
    *,
    skip_locked: Iterable[AccountKey] = (),
) -> JournalTransaction:
    """Locks credits (money before time, each in id order) with their states, then asks the time.

    A credit that no longer exists is left out, as is one of `if_free` that another unit has locked.
    """
    wanted, free = set(accounts), set(skip_locked)
    records: dict[AccountKey, Record] = {}
    for mapping in MAPPINGS.values():
        ids = [credit_id for kind, credit_id in wanted if kind is mapping.account_type]
        free_ids = [credit_id for kind, credit_id in free if kind is mapping.account_type]
        found = await session.lock(mapping.credit_entity, ids, skip_locked=free_ids)
        records |= {
            (mapping.account_type, credit_id): found[credit_id] for credit_id in sorted(found)
        }
    states = {}
    if records:
        states = await session.lock(AccountState, sorted(state_id(account) for account in records))
    now = clock()
    journal = JournalTransaction(now, {})
    for account, record in records.items():
        state = states.get(state_id(account))
        mapping = MAPPINGS[account[0]]
        # Recorded time never runs backwards on one credit, whatever the clock does (rule 4).
        last = state["LastRecordedOn"] if state else None
        journal.accounts[account] = LockedAccount(
            mapping=mapping,
            record=record,
            state=state,
            remaining=record[mapping.remaining_field],
            held=state["Held"] // mapping.scale if state else 0,
            total=record[mapping.total_field],
            sequence=state["Sequence"] if state else 0,
            recorded=max(now, last) if last else now,
            overdraft=overdraft_limit(mapping, record),
        )
    return journal


def is_booking_charge(mapping: CreditTypeMapping, record: Record) -> bool:
    """A booking charge has no balance and no journal (rule 5)."""
    if mapping.account_type is AccountType.MONEY:
        return False
    return bool(record["BookingId"] or record["BookingUniqueId"])
