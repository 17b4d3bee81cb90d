"""The journal of credits that came with a past: one grant line, then a line for each use row.

What is written follows from the records alone, so opening the same past twice gives the same
digests. Balances are never moved to fit: what the uses do not explain is for `verify` to report
(rule 34). This module must not know where the records came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from creditdesk.entities.ledger.account_state import AccountState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import (
    EntryType,
    JournalEntry,
    epoch_microseconds,
    from_epoch_microseconds,
)
from creditdesk.ledger.journal.hash_chain import entry_digest, genesis_digest
from creditdesk.ledger.journal.mapping import (
    TIME_MAPPING,
    CreditTypeMapping,
    entry_record,
    is_booking_charge,
    overdraft_limit,
    state_id,
    where,
)
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.records import new_record
from creditdesk.schema.repository import WriteSession

_SOURCES = (
    ("BookingId", SourceKind.BOOKING),
    ("EventAttendeeId", SourceKind.EVENT_ATTENDANCE),
    ("CoworkerInvoiceLineId", SourceKind.INVOICE_LINE),
)


_USE_COLUMNS = ("CreditUsed", "CreatedOn", "UpdatedBy", *(name for name, _ in _SOURCES))


@dataclass(slots=True)
class JournalOpening:
    """One credit's journal while its past is written down: the lines so far and where they end."""

    mapping: CreditTypeMapping
    credit: Mapping[str, Any]
    sequence: int
    digest: bytes
    balance: int
    total: int
    recorded_microseconds: int
    held: int
    entries: list[tuple[JournalEntry, bytes]]

    @classmethod
    def from_grant(cls, mapping: CreditTypeMapping, credit: Mapping[str, Any]) -> JournalOpening:
        """A journal that begins with the grant of the credit's Total, when it was created."""
        recorded = epoch_microseconds(credit["CreatedOn"])
        genesis = genesis_digest(mapping.account_type, credit["Id"])
        opening = cls(mapping, credit, 0, genesis, 0, 0, recorded, 0, [])
        total = credit[mapping.total_field]
        opening.total = total
        actor = credit["UpdatedBy"] or "system"
        opening._append(EntryType.GRANT, total, credit["CreatedOn"], actor, "granted")
        return opening

    @classmethod
    def from_state(
        cls, mapping: CreditTypeMapping, credit: Mapping[str, Any], state: Mapping[str, Any]
    ) -> JournalOpening:
        """A journal that goes on where the credit's state says it ends."""
        return cls(
            mapping,
            credit,
            state["Sequence"],
            bytes.fromhex(state["Digest"]),
            credit[mapping.remaining_field],
            credit[mapping.total_field],
            epoch_microseconds(state["LastRecordedOn"] or credit["CreatedOn"]),
            state["Held"] // mapping.scale,
            [],
        )

    def append_use(self, history: Mapping[str, Any]) -> None:
        """The line of one use row; a negative one gives back (rule 2), a blank one moves nothing."""
        used = history["CreditUsed"]
        if used is None:
            return
        kind = EntryType.REVERSAL if used < 0 else EntryType.USE
        source = next(((k.value, history[n]) for n, k in _SOURCES if history.get(n)), (None, None))
        actor = history["UpdatedBy"] or "system"
        self._append(
            kind, abs(used), history["CreatedOn"], actor, "", source, history_id=history["Id"]
        )

    def _append(
        self,
        kind: EntryType,
        amount: int,
        effective: datetime,
        actor: str,
        reason: str,
        source: tuple[str | None, int | None] = (None, None),
        history_id: int | None = None,
    ) -> None:
        effective_microseconds = epoch_microseconds(effective)
        # Recorded time never runs backwards on one credit (rule 4).
        self.recorded_microseconds = max(self.recorded_microseconds, effective_microseconds)
        self.balance += -amount if kind is EntryType.USE else amount
        self.sequence += 1
        entry = JournalEntry(
            credit_kind=self.mapping.account_type,
            credit_id=self.credit["Id"],
            sequence=self.sequence,
            kind=kind,
            amount=amount,
            balance_after=self.balance,
            held_after=self.held,
            total_after=self.total,
            source_kind=source[0],
            source_id=source[1],
            actor=actor,
            reason=reason,
            rule_version=RULES_VERSION,
            effective_microseconds=effective_microseconds,
            recorded_microseconds=self.recorded_microseconds,
            history_id=history_id,
        )
        self.digest = entry_digest(self.digest, entry)
        self.entries.append((entry, self.digest))

    def entry_records(self, unique_id: Callable[[], str] | None = None) -> list[Record]:
        """The records of the lines written so far; `unique_id` makes their UniqueIds."""
        business, coworker = self.credit["BusinessId"], self.credit["CoworkerId"]
        return [
            entry_record(entry, digest, business, coworker, unique_id=unique_id and unique_id())
            for entry, digest in self.entries
        ]

    def state_values(self) -> dict[str, Any]:
        """What the credit's state says of where its journal ends."""
        return {
            "Sequence": self.sequence,
            "Digest": self.digest.hex(),
            "LastRecordedOn": from_epoch_microseconds(self.recorded_microseconds),
        }

    def state_record(self, now: datetime, unique_id: Callable[[], str] | None = None) -> Record:
        """The credit's first state."""
        account = (self.mapping.account_type, self.credit["Id"])
        values = {
            "Id": state_id(account),
            "CreditKind": self.mapping.account_type.value,
            "CreditId": self.credit["Id"],
            "Held": 0,
            "Priority": DEFAULT_PRIORITY,
            "UniqueId": unique_id and unique_id(),
            **self.state_values(),
        }
        return new_record(AccountState, values, now, "")


def open_journal(
    mapping: CreditTypeMapping, credit: Mapping[str, Any], histories: Iterable[Mapping[str, Any]]
) -> JournalOpening:
    """The whole journal of a credit and its use rows, in order of creation and Id."""
    opening = JournalOpening.from_grant(mapping, credit)
    for history in sorted(histories, key=lambda row: (row["CreatedOn"], row["Id"])):
        opening.append_use(history)
    return opening


async def open_imported_journals(
    session: WriteSession, mapping: CreditTypeMapping, credit_ids: Sequence[int], now: datetime
) -> None:
    """Opens the journal of each of these credits that has none, with all its use rows.

    Balances stay as they came; booking charges have none and are passed over (rule 5).
    """
    states = await session.lock(
        AccountState,
        [state_id((mapping.account_type, i)) for i in credit_ids],
        ("Id", "CreditId", "Sequence"),
    )
    begun = {state["CreditId"] for state in states.values() if state["Sequence"]}
    whose = ("BookingId", "BookingUniqueId") if mapping is TIME_MAPPING else ()
    credits_ = await session.lock(
        mapping.credit_entity,
        [i for i in credit_ids if i not in begun],
        ("Id", "BusinessId", "CoworkerId", "CreatedOn", "UpdatedBy", mapping.total_field, *whose),
    )
    uses: dict[int, list[Record]] = {credit_id: [] for credit_id in credits_}
    if uses:
        filters = where(mapping.history_entity, **{mapping.credit_reference: tuple(uses)})
        there = mapping.history_entity.meta().columns
        names = tuple(n for n in ("Id", mapping.credit_reference, *_USE_COLUMNS) if n in there)
        for row in await session.find(mapping.history_entity, filters, columns=names):
            uses[row[mapping.credit_reference]].append(row)
    entries: list[Record] = []
    fresh: list[Record] = []
    state_updates: list[tuple[int, dict[str, Any]]] = []
    for credit_id, credit in sorted(credits_.items()):
        if is_booking_charge(mapping, credit):
            continue
        opening = open_journal(mapping, credit, uses[credit_id])
        entries += opening.entry_records()
        state = states.get(state_id((mapping.account_type, credit_id)))
        if state is None:
            fresh.append(opening.state_record(now))
        else:
            state_updates.append((state["Id"], opening.state_values()))
    await session.insert(JournalLine, entries)
    await session.insert(AccountState, fresh)
    await session.update(AccountState, state_updates)


async def append_imported_uses(
    session: WriteSession, mapping: CreditTypeMapping, histories: Sequence[Record]
) -> list[str]:
    """Writes the lines of use rows that have just come for credits with a journal.

    They lower the balance like any use. Gives a sentence for each credit that they would take
    below what is held or above its total: it stays as it was. Credits without a journal are
    passed over; `open_imported` finds their rows.
    """
    ids = sorted(
        {row[mapping.credit_reference] for row in histories if row[mapping.credit_reference]}
    )
    credits_ = await session.lock(mapping.credit_entity, ids)
    states = await session.lock(
        AccountState, [state_id((mapping.account_type, i)) for i in credits_]
    )
    entries: list[Record] = []
    state_updates: list[tuple[int, dict[str, Any]]] = []
    balances: list[tuple[int, dict[str, Any]]] = []
    rejected: list[str] = []
    for state in states.values():
        if not state["Sequence"]:
            continue
        credit = credits_[state["CreditId"]]
        opening = JournalOpening.from_state(mapping, credit, state)
        rows = [row for row in histories if row[mapping.credit_reference] == credit["Id"]]
        for row in sorted(rows, key=lambda row: (row["CreatedOn"], row["Id"])):
            opening.append_use(row)
        lowest = opening.held - overdraft_limit(mapping, credit)
        if not lowest <= opening.balance <= opening.total:
            rejected.append(
                f"{mapping.credit_entity.__name__} {credit['Id']}: the uses that came for it do not fit its"
                " balance, which stays as it was"
            )
            continue
        entries += opening.entry_records()
        state_updates.append((state["Id"], opening.state_values()))
        balances.append((credit["Id"], {mapping.remaining_field: opening.balance}))
    await session.insert(JournalLine, entries)
    await session.update(AccountState, state_updates)
    await session.update(mapping.credit_entity, balances)
    return rejected
