"""How credits, histories and journal lines stand in records, and back.

The one place that knows which wire names mean a balance. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from os import urandom
from time import time_ns
from typing import Any, Final

from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.coworker_extra_service_use_history import (
    CoworkerExtraServiceUseHistory,
)
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.ledger.journal.entry import CreditKind, Line, LineKind, instant_of, microseconds_of
from creditdesk.ledger.rules.amounts import STEPS_PER_CURRENCY_UNIT, Amount, money_text
from creditdesk.ledger.rules.credit import CreditKey, PayingKind
from creditdesk.schema.entity import Entity, Record
from creditdesk.schema.errors import FieldError, Invalid
from creditdesk.schema.query import Filter, Test
from creditdesk.schema.service import Caller
from creditdesk.schema.validation import NOT_FOUND


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two kinds of credit as the wire names it; `scale` turns amounts into decimals."""

    kind: CreditKind
    credit: type[Entity]
    history: type[Entity]
    remaining: str
    total: str
    scale: int

    @property
    def relation(self) -> str:
        """The history's link to its credit, as refusals name it."""
        return self.credit.__name__

    @property
    def reference(self) -> str:
        return f"{self.credit.__name__}Id"

    def shown(self, amount: Amount) -> str:
        """An amount as a sentence says it."""
        return money_text(amount) if self.kind is CreditKind.MONEY else str(amount)


MONEY: Final = Side(
    CreditKind.MONEY,
    CoworkerBookingCredit,
    CoworkerBookingCreditUseHistory,
    "RemainingCredit",
    "TotalCredit",
    1,
)
TIME: Final = Side(
    CreditKind.TIME,
    CoworkerExtraService,
    CoworkerExtraServiceUseHistory,
    "RemainingUses",
    "TotalUses",
    STEPS_PER_CURRENCY_UNIT,
)
SIDES: Final = {MONEY.kind: MONEY, TIME.kind: TIME}
BY_HISTORY: Final = {side.history: side for side in SIDES.values()}
BY_CREDIT: Final = {side.credit: side for side in SIDES.values()}

Account = tuple[CreditKind, int]
"""A credit's identity in the journal: printing credit is written as time credit."""


def account_of(key: CreditKey) -> Account:
    return (CreditKind.MONEY if key.kind is PayingKind.MONEY else CreditKind.TIME, key.id)


def overdraft_of(side: Side, record: Mapping[str, Any]) -> Amount:
    """How many uses below zero a stored credit may go; money never may (rule 33)."""
    return 0 if side is MONEY else record["Overdraft"] or 0


def state_id(account: Account) -> int:
    """The Id of a credit's `CreditState`: even for money, odd for time."""
    kind, credit_id = account
    return 2 * credit_id + (kind is CreditKind.TIME)


_NOT_FIXED: Final = ~((0xF << 76) | (0x3 << 62))
_VERSION_4: Final = (0x4 << 76) | (0x2 << 62)
_VERSION_7: Final = (0x7 << 76) | (0x2 << 62)
_BLANKS: dict[type[Entity], dict[str, Any]] = {}


def _blank(entity: type[Entity]) -> dict[str, Any]:
    blank = _BLANKS.get(entity)
    if blank is None:
        stored = entity.shape().stored
        blank = _BLANKS[entity] = {c.name: c.kind.empty for c in stored if c.name != "Id"}
    return blank


def new_record(
    entity: type[Entity], values: Mapping[str, Any], now: datetime, actor: str
) -> Record:
    """A complete record of an entity: what is not given is empty, and times are whole seconds."""
    record = {**_blank(entity), **values}
    record["CreatedOn"] = record["UpdatedOn"] = now.replace(microsecond=0)
    record["UniqueId"] = values.get("UniqueId") or fresh_unique_id()
    record["UpdatedBy"] = actor
    return record


def fresh_unique_id() -> str:
    """A UniqueId that nobody can foretell: each line and each use needs one.

    A version 7 UUID (RFC 9562) begins with the millisecond, so that an index of them grows at its
    end: at ten million rows a place by chance is one more page to read and to write.
    """
    return _shown(time_ns() // 1_000_000 << 80 | int.from_bytes(urandom(10)), _VERSION_7)


def unique_id(chance: bytes) -> str:
    """A version 4 UUID from 16 bytes of chance, for what must come out the same again."""
    return _shown(int.from_bytes(chance), _VERSION_4)


def _shown(number: int, version: int) -> str:
    h = (number & _NOT_FIXED | version).to_bytes(16).hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def line_record(
    line: Line,
    digest: bytes,
    business_id: int,
    coworker_id: int | None,
    member_id: int | None = None,
    unique_id: str | None = None,
) -> Record:
    """The journal's record of a line: of whose credit, and who drew on it where another did; under
    a fresh UniqueId where none is given.
    """
    side = SIDES[line.credit_kind]
    recorded = instant_of(line.recorded_microseconds)
    values = {
        "BusinessId": business_id,
        "CoworkerId": coworker_id,
        side.reference: line.credit_id,
        "CreditKind": line.credit_kind.value,
        "CreditId": line.credit_id,
        "Sequence": line.sequence,
        "Kind": line.kind.value,
        "Amount": line.amount * side.scale,
        "BalanceAfter": line.balance_after * side.scale,
        "HeldAfter": line.held_after * side.scale,
        "TotalAfter": line.total_after * side.scale,
        "SourceKind": line.source_kind,
        "SourceId": line.source_id,
        "Actor": line.actor,
        "Reason": line.reason,
        "IdempotencyKey": line.idempotency_key,
        "Reverses": line.reverses,
        "RuleVersion": line.rule_version,
        "EffectiveOn": instant_of(line.effective_microseconds),
        "RecordedOn": recorded,
        "HistoryId": line.history_id,
        "Override": line.override,
        "MemberId": member_id,
        "Digest": digest.hex(),
        "UniqueId": unique_id,
    }
    return new_record(JournalLine, values, recorded, line.actor)


LINE_NAMES: Final = (
    "CreditKind",
    "CreditId",
    "Sequence",
    "Kind",
    "Amount",
    "BalanceAfter",
    "HeldAfter",
    "TotalAfter",
    "SourceKind",
    "SourceId",
    "Actor",
    "Reason",
    "IdempotencyKey",
    "Reverses",
    "RuleVersion",
    "EffectiveOn",
    "RecordedOn",
    "HistoryId",
    "Override",
)
"""What `line_of` reads."""


_SIDES_BY_NAME: Final = {kind.value: side for kind, side in SIDES.items()}
_LINE_KINDS: Final = {kind.value: kind for kind in LineKind}


def line_of(record: Record) -> Line:
    """The line that a journal record holds."""
    kind = record["CreditKind"]
    side = _SIDES_BY_NAME.get(kind) or SIDES[CreditKind(kind)]
    return Line(
        credit_kind=side.kind,
        credit_id=record["CreditId"],
        sequence=record["Sequence"],
        kind=_LINE_KINDS.get(record["Kind"]) or LineKind(record["Kind"]),
        amount=_steps(record["Amount"], side),
        balance_after=_steps(record["BalanceAfter"], side),
        held_after=_steps(record["HeldAfter"], side),
        total_after=_steps(record["TotalAfter"], side),
        source_kind=record["SourceKind"],
        source_id=record["SourceId"],
        actor=record["Actor"],
        reason=record["Reason"],
        idempotency_key=record["IdempotencyKey"],
        reverses=record["Reverses"],
        rule_version=record["RuleVersion"],
        effective_microseconds=microseconds_of(record["EffectiveOn"]),
        recorded_microseconds=microseconds_of(record["RecordedOn"]),
        history_id=record["HistoryId"],
        override=record["Override"],
    )


def _steps(scaled: int, side: Side) -> Amount:
    """An amount in the credit's smallest step. What is no whole number of them was altered: left
    as it stands, it fails its line's digest.
    """
    if side.scale == 1:
        return scaled
    whole, rest = divmod(scaled, side.scale)
    return scaled if rest else whole


def where(entity: type[Entity], **values: Any) -> tuple[Filter, ...]:
    """Filters that own columns equal these values; a tuple or list means one of them."""
    columns = entity.shape().columns
    return tuple(
        Filter(columns[name], Test.ONE_OF, tuple(value))
        if isinstance(value, tuple | list | set | frozenset)
        else Filter(columns[name], Test.IS, value)
        for name, value in values.items()
    )


def may_see(caller: Caller, business_id: int | None) -> bool:
    """Whether a record of this location exists for the caller."""
    return caller.locations is None or business_id in caller.locations


def unknown(relation: str, attempted: object) -> Invalid:
    """A link to a record that is not there, or that the caller may not see."""
    return Invalid(FieldError(relation, NOT_FOUND, attempted))
