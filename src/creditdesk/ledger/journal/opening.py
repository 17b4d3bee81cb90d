"""Journals of imported credits: a grant entry, then an entry for each row of the use history.

The entries are derived from the records alone. Balances are never adjusted: `verify` reports what the uses do
not explain (rule 34).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.causes import SOURCE_CAUSES, Cause
from creditdesk.ledger.journal.entry import (
    EntryType,
    JournalEntry,
    epoch_microseconds,
    from_epoch_microseconds,
)
from creditdesk.ledger.journal.hash_chain import FORMAT_VERSION, entry_digest
from creditdesk.ledger.journal.mapping import (
    STORED_STATE_COLUMNS,
    AccountKey,
    CreditTypeMapping,
    RowChange,
    entry_record,
    new_state_record,
    state_id,
    state_values,
    stored_credit,
    stored_state,
    stored_use,
)
from creditdesk.ledger.journal.reasons import GRANT_REASON
from creditdesk.ledger.journal.values import StoredCredit, StoredState, StoredUse
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.funding import UNKNOWN_FUNDING, Funding
from creditdesk.schema.entity import Record
from creditdesk.schema.query import where
from creditdesk.schema.records import new_unique_id
from creditdesk.schema.repository import Finder, WriteSession


class GrantOrigin(Struct, frozen=True):
    """The origin of an imported credit, as its grant entry states it."""

    cause: Cause = Cause.IMPORTED
    funding: Funding = UNKNOWN_FUNDING
    document: str | None = None
    reason: str = GRANT_REASON


IMPORTED: Final = GrantOrigin()


OriginLoader = Callable[[Finder, CreditTypeMapping, Sequence[int]], Awaitable[Mapping[int, GrantOrigin]]]
"""Loads the origins of credits, by id."""


@dataclass(slots=True)
class JournalOpening:
    """The journal of one credit while entries are added for its use rows.

    `assign_ids` completes the entries; before that they have no digests.
    """

    mapping: CreditTypeMapping
    credit: StoredCredit
    state: StoredState
    balance: Amount
    total: Amount
    recorded_microseconds: int
    digest: bytes
    entries: list[JournalEntry] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    @classmethod
    def from_grant(
        cls,
        mapping: CreditTypeMapping,
        credit: StoredCredit,
        state: StoredState | None = None,
        origin: GrantOrigin = IMPORTED,
    ) -> JournalOpening:
        """A new journal, which begins with a grant of the credit's total when it was created.

        `state` is the account's state where one is stored although it has no entries.
        """
        first = stored_state((mapping.account_type, credit.id), None)
        state = replace(first if state is None else state, digest=first.digest, funding=origin.funding)
        created = epoch_microseconds(credit.created)
        opening = cls(mapping, credit, state, 0, credit.total, created, state.digest)
        opening._append(
            EntryType.GRANT,
            origin.cause,
            credit.total,
            credit.created,
            credit.updated_by,
            reason=origin.reason,
            document=origin.document,
        )
        return opening

    @classmethod
    def from_state(cls, mapping: CreditTypeMapping, credit: StoredCredit, state: StoredState) -> JournalOpening:
        """A journal that continues after its last stored entry."""
        recorded = epoch_microseconds(state.last_recorded or credit.created)
        return cls(mapping, credit, state, credit.remaining, credit.total, recorded, state.digest)

    @property
    def account(self) -> AccountKey:
        return (self.mapping.account_type, self.credit.id)

    def append_use(self, use: StoredUse) -> None:
        """Adds the entry of one use row; a negative amount is a reversal (rule 2).

        A row without an amount moved nothing and gets no entry.
        """
        if use.used is not None:
            kind, cause = EntryType.USE, SOURCE_CAUSES[use.source_kind]
            if use.used < 0:
                kind, cause = EntryType.REVERSAL, Cause.IMPORTED
            self._append(kind, cause, abs(use.used), use.created, use.updated_by, use=use)

    def _append(
        self,
        kind: EntryType,
        cause: Cause,
        amount: Amount,
        effective: datetime,
        actor: str,
        *,
        reason: str = "",
        use: StoredUse | None = None,
        document: str | None = None,
    ) -> None:
        effective_microseconds = epoch_microseconds(effective)
        # Recorded time never runs backwards on one credit (rule 4).
        self.recorded_microseconds = max(self.recorded_microseconds, effective_microseconds)
        self.balance += -amount if kind is EntryType.USE else amount
        entry = JournalEntry(
            credit_kind=self.mapping.account_type,
            credit_id=self.credit.id,
            sequence=self.state.sequence + len(self.entries) + 1,
            kind=kind,
            amount=amount,
            balance_after=self.balance,
            held_after=self.state.held,
            total_after=self.total,
            source_kind=use.source_kind if use else None,
            source_id=use.source_id if use else None,
            actor=actor,
            reason=reason,
            rule_version=RULES_VERSION,
            effective_microseconds=effective_microseconds,
            recorded_microseconds=self.recorded_microseconds,
            history_id=use.id if use else None,
            cause=cause,
            location_id=self.credit.business_id,
            owner_id=self.credit.customer_id,
            document=document,
            format_version=FORMAT_VERSION,
        )
        self.entries.append(entry)

    def assign_ids(self, line_ids: Iterator[int], new_unique_id: Callable[[datetime], str]) -> None:
        """Assigns ids to the entries, chains them, and creates their records."""
        for position, entry in enumerate(self.entries):
            recorded = from_epoch_microseconds(entry.recorded_microseconds)
            numbered = replace(entry, line_id=next(line_ids), unique_id=new_unique_id(recorded))
            self.digest = entry_digest(self.digest, numbered)
            self.entries[position] = numbered
            self.records.append(entry_record(numbered, self.digest))

    def end_state(self) -> StoredState:
        """The account's state after the last entry, once the entries have their ids."""
        return replace(
            self.state,
            digest=self.digest,
            sequence=self.state.sequence + len(self.entries),
            last_recorded=from_epoch_microseconds(self.recorded_microseconds),
        )

    def state_record(self, now: datetime, unique_id: str | None = None) -> Record:
        """The record of the account's first state."""
        return new_state_record(self.account, self.end_state(), now, unique_id)

    def state_change(self) -> RowChange:
        """The change of an already stored account state."""
        return (state_id(self.account), state_values(self.account, self.end_state()))


def open_journal(
    mapping: CreditTypeMapping,
    credit: StoredCredit,
    uses: Iterable[StoredUse],
    state: StoredState | None = None,
    origin: GrantOrigin = IMPORTED,
) -> JournalOpening:
    """The whole journal of a credit, with its use rows in order of creation and Id."""
    opening = JournalOpening.from_grant(mapping, credit, state, origin)
    for use in _in_order(uses):
        opening.append_use(use)
    return opening


async def open_imported_journals(
    session: WriteSession,
    mapping: CreditTypeMapping,
    credit_ids: Sequence[int],
    now: datetime,
    load_origins: OriginLoader,
) -> None:
    """Writes the journal of each of these credits that has none, with all its use rows.

    Balances stay as imported. Booking charges have no balance and are skipped (rule 5).
    """
    accounts = [(mapping.account_type, credit_id) for credit_id in credit_ids]
    found = await session.lock(AccountState, [state_id(account) for account in accounts], STORED_STATE_COLUMNS)
    states = {i: stored_state((kind, i), found.get(state_id((kind, i)))) for kind, i in accounts}
    without_journal = [i for i, state in states.items() if not state.sequence]
    records = await session.lock(mapping.credit_entity, without_journal, mapping.credit_columns)
    credits_ = {i: stored_credit(mapping, record) for i, record in sorted(records.items())}
    uses = await _load_uses(session, mapping, credits_)
    origins = await load_origins(session, mapping, list(credits_))
    openings = [
        open_journal(mapping, credit, uses.get(credit_id, ()), states[credit_id], origins[credit_id])
        for credit_id, credit in credits_.items()
        if not credit.is_booking_charge
    ]
    await _insert_entries(session, openings)
    await session.insert(AccountState, [opening.state_record(now) for opening in openings if opening.state.is_new])
    await session.update(AccountState, [opening.state_change() for opening in openings if not opening.state.is_new])


async def append_imported_uses(
    session: WriteSession, mapping: CreditTypeMapping, histories: Sequence[Record]
) -> list[str]:
    """Writes the entries of newly imported use rows, for credits that have a journal.

    They lower the balance like any use. Returns a message for each credit whose balance they would
    take below what is held or above its total; such a credit is left unchanged. Credits without a
    journal are skipped: `open_imported_journals` reads their rows.
    """
    uses: dict[int, list[StoredUse]] = {}
    for use in (stored_use(mapping, record) for record in histories):
        if use.credit_id:
            uses.setdefault(use.credit_id, []).append(use)
    records = await session.lock(mapping.credit_entity, sorted(uses), mapping.credit_columns)
    accounts = [(mapping.account_type, credit_id) for credit_id in records]
    states = await session.lock(AccountState, [state_id(account) for account in accounts], STORED_STATE_COLUMNS)
    openings: list[JournalOpening] = []
    balances: list[RowChange] = []
    rejected: list[str] = []
    for account in accounts:
        credit = stored_credit(mapping, records[account[1]])
        state = stored_state(account, states.get(state_id(account)))
        if not state.sequence:
            continue
        opening = JournalOpening.from_state(mapping, credit, state)
        for use in _in_order(uses[credit.id]):
            opening.append_use(use)
        if not state.held - credit.overdraft <= opening.balance <= opening.total:
            rejected.append(
                f"{mapping.credit_entity.__name__} {credit.id}: the imported uses do not fit its "
                "balance, which stays as it was"
            )
            continue
        openings.append(opening)
        balances.append((credit.id, {mapping.remaining_field: opening.balance}))
    await _insert_entries(session, openings)
    await session.update(AccountState, [opening.state_change() for opening in openings])
    await session.update(mapping.credit_entity, balances)
    return rejected


async def _insert_entries(session: WriteSession, openings: Sequence[JournalOpening]) -> None:
    """Completes the entries of journals and inserts them."""
    count = sum(len(opening.entries) for opening in openings)
    if not count:
        return
    line_ids = iter((await session.next_ids({JournalLine: count}))[JournalLine])
    for opening in openings:
        opening.assign_ids(line_ids, new_unique_id)
    await session.insert(JournalLine, [record for opening in openings for record in opening.records])


async def _load_uses(
    session: WriteSession, mapping: CreditTypeMapping, credit_ids: Iterable[int]
) -> dict[int, list[StoredUse]]:
    """The use rows of these credits, by credit."""
    wanted = tuple(credit_ids)
    if not wanted:
        return {}
    filters = where(mapping.history_entity, **{mapping.credit_reference: wanted})
    uses: dict[int, list[StoredUse]] = {}
    for record in await session.find(mapping.history_entity, filters, columns=mapping.use_columns):
        use = stored_use(mapping, record)
        uses.setdefault(use.credit_id or 0, []).append(use)
    return uses


def _in_order(uses: Iterable[StoredUse]) -> list[StoredUse]:
    return sorted(uses, key=lambda use: (use.created, use.id))
