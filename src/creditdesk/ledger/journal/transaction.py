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

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import (
    RAISES_TOTAL,
    CreditKind,
    Line,
    LineKind,
    balance_change,
    held_change,
    microseconds_of,
)
from creditdesk.ledger.journal.hash_chain import genesis_digest, line_digest
from creditdesk.ledger.journal.invariants import Balances, prove
from creditdesk.ledger.journal.mapping import (
    SIDES,
    Account,
    Side,
    line_record,
    new_record,
    overdraft_of,
    state_id,
)
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY, LedgerPolicy
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.repository import Insert, Unit, Update

Clock = Callable[[], datetime]
"""Asked once after the locks are there, so that recorded time follows the locks (rule 4)."""


@dataclass(frozen=True, slots=True)
class Desk:
    """By which clock and which settings the ledger works."""

    clock: Clock
    policy: LedgerPolicy = field(default_factory=LedgerPolicy)


class Why(Struct, frozen=True, gc=False):
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


class Locked(Struct, frozen=True, gc=False):
    """One credit under lock: its record, its state's record, and its balances now."""

    side: Side
    record: Record
    state: Record | None
    remaining: Amount
    held: Amount
    total: Amount
    sequence: int
    recorded: datetime
    overdraft: Amount = 0

    @property
    def account(self) -> Account:
        return (self.side.kind, self.record["Id"])

    @property
    def name(self) -> str:
        return f"{self.side.credit.__name__} {self.record['Id']}"

    @property
    def available(self) -> Amount:
        """What is left beside the holds (rule 26); below zero where an overdraft is drawn on."""
        return self.remaining - self.held

    @property
    def balances(self) -> Balances:
        return Balances(self.remaining, self.held, self.total, self.sequence, self.overdraft)


@dataclass(slots=True)
class Written:
    """A line as written in memory; its history row gets an id when the book goes on record.

    `member_id` is for whom it was written, where that is not the credit's owner (rule 16).
    """

    line: Line
    history: Record | None = None
    member_id: int | None = None


@dataclass(slots=True)
class Book:
    """Locked credits and what is written on them. Made by `open_book`."""

    now: datetime
    credits: dict[Account, Locked]
    written: list[Written] = field(default_factory=list)
    notes: dict[Account, dict[str, Any]] = field(default_factory=dict)

    def write(
        self,
        account: Account,
        kind: LineKind,
        amount: Amount,
        why: Why,
        history: Mapping[str, Any] | None = None,
    ) -> Written:
        """Adds a line; `history` are the further values of the use-history row that shows it.

        The row's `CreditUsed` is the rise of Total less the rise of Remaining, unless given.
        Raises Broken when the credit would come to a state that must not be.
        """
        if not self.credits[account].sequence:
            self.open_account(account)
        return self._write(account, kind, amount, why, history)

    def open_account(self, account: Account, why: Why | None = None) -> Written:
        """The first lines of a credit, by which it comes to the balance it was found with.

        A new credit gets its grant (rule 6). One that came without a journal, such as by import,
        gets them with the first line that is written on it.
        """
        found = self.credits[account]
        by = why or Why(actor=found.record["UpdatedBy"] or "system", reason="granted")
        self.credits[account] = replace(found, remaining=0, total=0)
        written = self._write(account, LineKind.GRANT, found.total, by)
        if found.remaining != found.total:
            # No history row: what was used before came with rows of its own.
            earlier = replace(by, reason="used before the journal began")
            self._write(account, LineKind.USE, found.total - found.remaining, earlier)
        return written

    def _write(
        self,
        account: Account,
        kind: LineKind,
        amount: Amount,
        why: Why,
        history: Mapping[str, Any] | None = None,
    ) -> Written:
        before = self.credits[account]
        remaining = before.remaining + balance_change(kind, amount)
        held = before.held + held_change(kind, amount)
        total = before.total
        if kind is LineKind.GRANT:
            total += amount
        elif kind is LineKind.VOID:
            total -= amount
        elif kind in RAISES_TOTAL:
            total = max(total, remaining)
        line = Line(
            credit_kind=before.side.kind,
            credit_id=before.record["Id"],
            sequence=before.sequence + 1,
            kind=kind,
            amount=amount,
            balance_after=remaining,
            held_after=held,
            total_after=total,
            source_kind=why.source_kind,
            source_id=why.source_id,
            actor=why.actor,
            reason=why.reason,
            idempotency_key=why.idempotency_key,
            reverses=why.reverses,
            rule_version=RULES_VERSION,
            effective_microseconds=microseconds_of(why.effective or before.recorded),
            recorded_microseconds=microseconds_of(before.recorded),
            override=why.override,
        )
        after = replace(before, remaining=remaining, held=held, total=total, sequence=line.sequence)
        prove(after.balances, after.name)
        row = None
        if history is not None:
            used = (total - before.total) - (remaining - before.remaining)
            row = {before.side.reference: line.credit_id, "CreditUsed": used, **history}
        written = Written(line, row, self._member(before, why))
        self.credits[account] = after
        self.written.append(written)
        return written

    @staticmethod
    def _member(credit: Locked, why: Why) -> int | None:
        return None if why.customer_id == credit.record["CoworkerId"] else why.customer_id

    def note(self, account: Account, **state: Any) -> None:
        """Sets fields of the credit's state."""
        self.notes.setdefault(account, {}).update(state)

    def mark(self) -> tuple[int, dict[Account, Locked]]:
        """Where the book stands, for `back_to`."""
        return len(self.written), dict(self.credits)

    def back_to(self, mark: tuple[int, dict[Account, Locked]]) -> None:
        """Takes back what was written since the mark, as if it had never been."""
        count, self.credits = mark
        del self.written[count:]

    async def put_on_record(
        self, unit: Unit, showing: type[Entity] | None = None
    ) -> dict[int, Record]:
        """History rows, journal lines, balances and states, all in one exchange with the store.

        Gives the whole new rows of the history `showing`, by id.
        """
        if not (self.written or self.notes):
            return {}
        line_ids = await self._number_histories(unit)
        digests = {
            account: bytes.fromhex(c.state["Digest"]) if c.state else genesis_digest(*account)
            for account, c in self.credits.items()
            if c.state or c.sequence or account in self.notes
        }
        lines: list[Record] = []
        histories: dict[type[Entity], list[Record]] = {}
        touched: dict[Account, Written] = {}
        for written, line_id in zip(self.written, line_ids, strict=True):
            line = written.line
            account = (line.credit_kind, line.credit_id)
            digest = digests[account] = line_digest(digests[account], line)
            credit = self.credits[account]
            of = credit.record
            record = line_record(
                line, digest, of["BusinessId"], of["CoworkerId"], written.member_id
            )
            lines.append({**record, "Id": line_id})
            if written.history is not None:
                row = new_record(credit.side.history, written.history, self.now, line.actor)
                histories.setdefault(credit.side.history, []).append(row)
            touched[account] = written
        inserts = {**histories, JournalLine: lines, CreditState: self._new_states(digests)}
        updates = {**self._balances(touched), CreditState: self._changed_states(digests, touched)}
        return await unit.write(
            [
                *(Insert(entity, records) for entity, records in inserts.items() if records),
                *(Update(entity, changes) for entity, changes in updates.items() if changes),
            ],
            showing if showing in histories else None,
        )

    def history_ids(self, history: type[Entity]) -> list[int]:
        """The ids of the new rows of a history, once they are on record."""
        return [
            w.line.history_id for w in self.written
            if w.line.history_id and SIDES[w.line.credit_kind].history is history
        ]  # fmt: skip

    async def _number_histories(self, unit: Unit) -> list[int]:
        """Gives the history rows their ids, and the lines theirs in return."""
        shown: dict[type[Entity], list[Written]] = {}
        for written in self.written:
            if written.history is not None:
                history = SIDES[written.line.credit_kind].history
                shown.setdefault(history, []).append(written)
        if not self.written:
            return []
        counts = {history: len(rows) for history, rows in shown.items()}
        ids = await unit.next_ids({**counts, JournalLine: len(self.written)})
        for history, rows in shown.items():
            for written, history_id in zip(rows, ids[history], strict=True):
                assert written.history is not None
                written.history["Id"] = history_id
                written.line = replace(written.line, history_id=history_id)
        return ids[JournalLine]

    def _balances(self, touched: Mapping[Account, Written]) -> dict[type[Entity], list[Change]]:
        changes: dict[type[Entity], list[Change]] = {}
        for account, written in touched.items():
            credit = self.credits[account]
            values = {
                credit.side.remaining: credit.remaining,
                credit.side.total: credit.total,
                "UpdatedOn": credit.recorded.replace(microsecond=0),
                "UpdatedBy": written.line.actor,
            }
            changes.setdefault(credit.side.credit, []).append((account[1], values))
        return changes

    def _new_states(self, digests: Mapping[Account, bytes]) -> list[Record]:
        return [
            new_record(
                CreditState,
                {
                    "Id": state_id(account),
                    "CreditKind": account[0].value,
                    "CreditId": account[1],
                    "Priority": DEFAULT_PRIORITY,
                    **self._state(account, digests[account]),
                    **self.notes.get(account, {}),
                },
                self.now,
                "",
            )
            for account, credit in self.credits.items()
            if credit.state is None and (credit.sequence or account in self.notes)
        ]

    def _changed_states(
        self, digests: Mapping[Account, bytes], touched: Mapping[Account, Written]
    ) -> list[Change]:
        changes: list[Change] = []
        for account in touched.keys() | self.notes.keys():
            state = self.credits[account].state
            if state is not None:
                # Every change names the same fields, so that they travel together.
                kept = {name: state[name] for name in _NOTED}
                noted = {**kept, **self.notes.get(account, {})}
                changes.append((state["Id"], {**noted, **self._state(account, digests[account])}))
        return sorted(changes, key=lambda change: change[0])

    def _state(self, account: Account, digest: bytes) -> dict[str, Any]:
        credit = self.credits[account]
        return {
            "Sequence": credit.sequence,
            "Digest": digest.hex(),
            "Held": credit.held * credit.side.scale,
            "LastRecordedOn": credit.recorded,
        }


Change = tuple[int, Mapping[str, Any]]
_NOTED = ("Priority", "Paid", "ExpirySwept", "GrantedFrom", "TimesRolled")


async def open_book(
    unit: Unit, accounts: Iterable[Account], clock: Clock, *, if_free: Iterable[Account] = ()
) -> Book:
    """Locks credits (money before time, each in id order) with their states, then asks the time.

    A credit that no longer exists is left out, as is one of `if_free` that another unit has locked.
    """
    wanted, free = set(accounts), set(if_free)
    records: dict[Account, Record] = {}
    for side in SIDES.values():
        ids = [credit_id for kind, credit_id in wanted if kind is side.kind]
        free_ids = [credit_id for kind, credit_id in free if kind is side.kind]
        found = await unit.lock(side.credit, ids, if_free=free_ids)
        records |= {(side.kind, credit_id): found[credit_id] for credit_id in sorted(found)}
    states = {}
    if records:
        states = await unit.lock(CreditState, sorted(state_id(account) for account in records))
    now = clock()
    book = Book(now, {})
    for account, record in records.items():
        state = states.get(state_id(account))
        side = SIDES[account[0]]
        # Recorded time never runs backwards on one credit, whatever the clock does (rule 4).
        last = state["LastRecordedOn"] if state else None
        book.credits[account] = Locked(
            side=side,
            record=record,
            state=state,
            remaining=record[side.remaining],
            held=state["Held"] // side.scale if state else 0,
            total=record[side.total],
            sequence=state["Sequence"] if state else 0,
            recorded=max(now, last) if last else now,
            overdraft=overdraft_of(side, record),
        )
    return book


def is_charge(side: Side, record: Record) -> bool:
    """A booking charge has no balance and no journal (rule 5)."""
    if side.kind is CreditKind.MONEY:
        return False
    return bool(record["BookingId"] or record["BookingUniqueId"])
