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

from creditdesk.entities.ledger.account_state import CreditState
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import Line, LineKind, instant_of, microseconds_of
from creditdesk.ledger.journal.hash_chain import genesis_digest, line_digest
from creditdesk.ledger.journal.mapping import (
    TIME,
    Side,
    fresh_unique_id,
    line_record,
    new_record,
    overdraft_of,
    state_id,
    where,
)
from creditdesk.ledger.journal.transaction import is_charge
from creditdesk.ledger.rules.burn_down import RULES_VERSION
from creditdesk.ledger.rules.credit import DEFAULT_PRIORITY, SourceKind
from creditdesk.schema.entity import Record
from creditdesk.schema.repository import Unit

_SOURCES = (
    ("BookingId", SourceKind.BOOKING),
    ("EventAttendeeId", SourceKind.EVENT_ATTENDANCE),
    ("CoworkerInvoiceLineId", SourceKind.INVOICE_LINE),
)


_READ_OF_USES = ("CreditUsed", "CreatedOn", "UpdatedBy", *(name for name, _ in _SOURCES))


@dataclass(slots=True)
class Opening:
    """One credit's journal while its past is written down: the lines so far and where they end."""

    side: Side
    credit: Mapping[str, Any]
    sequence: int
    digest: bytes
    balance: int
    total: int
    recorded: int
    held: int
    lines: list[tuple[Line, bytes]]

    @classmethod
    def of(cls, side: Side, credit: Mapping[str, Any]) -> Opening:
        """A journal that begins with the grant of the credit's Total, when it was created."""
        recorded = microseconds_of(credit["CreatedOn"])
        genesis = genesis_digest(side.kind, credit["Id"])
        opening = cls(side, credit, 0, genesis, 0, 0, recorded, 0, [])
        total = credit[side.total]
        opening.total = total
        actor = credit["UpdatedBy"] or "system"
        opening._write(LineKind.GRANT, total, credit["CreatedOn"], actor, "granted")
        return opening

    @classmethod
    def after(cls, side: Side, credit: Mapping[str, Any], state: Mapping[str, Any]) -> Opening:
        """A journal that goes on where the credit's state says it ends."""
        return cls(
            side,
            credit,
            state["Sequence"],
            bytes.fromhex(state["Digest"]),
            credit[side.remaining],
            credit[side.total],
            microseconds_of(state["LastRecordedOn"] or credit["CreatedOn"]),
            state["Held"] // side.scale,
            [],
        )

    def use(self, history: Mapping[str, Any]) -> None:
        """The line of one use row; a negative one gives back (rule 2), a blank one moves nothing."""
        used = history["CreditUsed"]
        if used is None:
            return
        kind = LineKind.REVERSAL if used < 0 else LineKind.USE
        source = next(((k.value, history[n]) for n, k in _SOURCES if history.get(n)), (None, None))
        actor = history["UpdatedBy"] or "system"
        self._write(
            kind, abs(used), history["CreatedOn"], actor, "", source, history_id=history["Id"]
        )

    def _write(
        self,
        kind: LineKind,
        amount: int,
        effective: datetime,
        actor: str,
        reason: str,
        source: tuple[str | None, int | None] = (None, None),
        history_id: int | None = None,
    ) -> None:
        effective_microseconds = microseconds_of(effective)
        # Recorded time never runs backwards on one credit (rule 4).
        self.recorded = max(self.recorded, effective_microseconds)
        self.balance += -amount if kind is LineKind.USE else amount
        self.sequence += 1
        line = Line(
            credit_kind=self.side.kind,
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
            recorded_microseconds=self.recorded,
            history_id=history_id,
        )
        self.digest = line_digest(self.digest, line)
        self.lines.append((line, self.digest))

    def line_records(self, unique_id: Callable[[], str] = fresh_unique_id) -> list[Record]:
        """The journal's records of the lines written so far."""
        business, coworker = self.credit["BusinessId"], self.credit["CoworkerId"]
        return [
            line_record(line, digest, business, coworker, unique_id=unique_id())
            for line, digest in self.lines
        ]

    def end(self) -> dict[str, Any]:
        """What the credit's state says of where its journal ends."""
        return {
            "Sequence": self.sequence,
            "Digest": self.digest.hex(),
            "LastRecordedOn": instant_of(self.recorded),
        }

    def state_record(self, now: datetime, unique_id: Callable[[], str] = fresh_unique_id) -> Record:
        """The credit's first state."""
        account = (self.side.kind, self.credit["Id"])
        values = {
            "Id": state_id(account),
            "CreditKind": self.side.kind.value,
            "CreditId": self.credit["Id"],
            "Held": 0,
            "Priority": DEFAULT_PRIORITY,
            "UniqueId": unique_id(),
            **self.end(),
        }
        return new_record(CreditState, values, now, "")


def opened(
    side: Side, credit: Mapping[str, Any], histories: Iterable[Mapping[str, Any]]
) -> Opening:
    """The whole journal of a credit and its use rows, in order of creation and Id."""
    opening = Opening.of(side, credit)
    for history in sorted(histories, key=lambda row: (row["CreatedOn"], row["Id"])):
        opening.use(history)
    return opening


async def open_imported(unit: Unit, side: Side, credit_ids: Sequence[int], now: datetime) -> None:
    """Opens the journal of each of these credits that has none, with all its use rows.

    Balances stay as they came; booking charges have none and are passed over (rule 5).
    """
    states = await unit.lock(
        CreditState,
        [state_id((side.kind, i)) for i in credit_ids],
        ("Id", "CreditId", "Sequence"),
    )
    begun = {state["CreditId"] for state in states.values() if state["Sequence"]}
    whose = ("BookingId", "BookingUniqueId") if side is TIME else ()
    credits_ = await unit.lock(
        side.credit,
        [i for i in credit_ids if i not in begun],
        ("Id", "BusinessId", "CoworkerId", "CreatedOn", "UpdatedBy", side.total, *whose),
    )
    uses: dict[int, list[Record]] = {credit_id: [] for credit_id in credits_}
    if uses:
        filters = where(side.history, **{side.reference: tuple(uses)})
        there = side.history.shape().columns
        names = tuple(n for n in ("Id", side.reference, *_READ_OF_USES) if n in there)
        for row in await unit.find(side.history, filters, names=names):
            uses[row[side.reference]].append(row)
    lines: list[Record] = []
    fresh: list[Record] = []
    ends: list[tuple[int, dict[str, Any]]] = []
    for credit_id, credit in sorted(credits_.items()):
        if is_charge(side, credit):
            continue
        opening = opened(side, credit, uses[credit_id])
        lines += opening.line_records()
        state = states.get(state_id((side.kind, credit_id)))
        if state is None:
            fresh.append(opening.state_record(now))
        else:
            ends.append((state["Id"], opening.end()))
    await unit.insert(JournalLine, lines)
    await unit.insert(CreditState, fresh)
    await unit.update(CreditState, ends)


async def take_imported(unit: Unit, side: Side, histories: Sequence[Record]) -> list[str]:
    """Writes the lines of use rows that have just come for credits with a journal.

    They lower the balance like any use. Gives a sentence for each credit that they would take
    below what is held or above its total: it stays as it was. Credits without a journal are
    passed over; `open_imported` finds their rows.
    """
    ids = sorted({row[side.reference] for row in histories if row[side.reference]})
    credits_ = await unit.lock(side.credit, ids)
    states = await unit.lock(CreditState, [state_id((side.kind, i)) for i in credits_])
    lines: list[Record] = []
    ends: list[tuple[int, dict[str, Any]]] = []
    balances: list[tuple[int, dict[str, Any]]] = []
    refused: list[str] = []
    for state in states.values():
        if not state["Sequence"]:
            continue
        credit = credits_[state["CreditId"]]
        opening = Opening.after(side, credit, state)
        rows = [row for row in histories if row[side.reference] == credit["Id"]]
        for row in sorted(rows, key=lambda row: (row["CreatedOn"], row["Id"])):
            opening.use(row)
        lowest = opening.held - overdraft_of(side, credit)
        if not lowest <= opening.balance <= opening.total:
            refused.append(
                f"{side.credit.__name__} {credit['Id']}: the uses that came for it do not fit its"
                " balance, which stays as it was"
            )
            continue
        lines += opening.line_records()
        ends.append((state["Id"], opening.end()))
        balances.append((credit["Id"], {side.remaining: opening.balance}))
    await unit.insert(JournalLine, lines)
    await unit.update(CreditState, ends)
    await unit.update(side.credit, balances)
    return refused
