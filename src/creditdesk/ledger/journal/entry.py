"""One journal line, the only truth about what ever moved a credit (rule 1).

It knows nothing of storage, the wire or how lines are chained; it only says what a line holds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AccountType(StrEnum):
    """Money credit counts ten-thousandths of its currency; time (and printing) whole uses."""

    MONEY = "money"
    TIME = "time"


class EntryType(StrEnum):
    """What a line did to its credit; `Line` says what its amount means for each (rule 1)."""

    GRANT = "grant"
    USE = "use"
    REVERSAL = "reversal"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"
    REOPENING = "reopening"
    VOID = "void"
    HOLD = "hold"
    RELEASE = "release"


_BALANCE_SIGN = {
    EntryType.GRANT: 1,
    EntryType.USE: -1,
    EntryType.REVERSAL: 1,
    EntryType.ADJUSTMENT: 1,
    EntryType.VOID: -1,
}
RAISES_TOTAL = frozenset({EntryType.ADJUSTMENT, EntryType.REVERSAL})
"""What would bring more than Total raises Total to it (rule 2)."""
_HELD_SIGN = {EntryType.HOLD: 1, EntryType.RELEASE: -1}
_TEXT_FIELDS = {
    "credit_kind": AccountType,
    "kind": EntryType,
    **dict.fromkeys(("source_kind", "actor", "reason", "idempotency_key"), str),
}
_NULLABLE = {"source_kind", "source_id", "idempotency_key", "reverses", "history_id"}


def balance_change(kind: EntryType, amount: int) -> int:
    """Signed change of Remaining that a line of this kind and amount makes."""
    return _BALANCE_SIGN.get(kind, 0) * amount


def held_change(kind: EntryType, amount: int) -> int:
    """Signed change of what holds reserve that a line of this kind and amount makes."""
    return _HELD_SIGN.get(kind, 0) * amount


class JournalEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a credit's journal, in the credit's smallest step (rule 1).

    `amount` is what the line is about and never negative, except for an adjustment. Its effect
    depends on the kind; the three `…_after` fields state the result:

    ========== ================ ================ =======================================
    kind       Remaining        held             Total
    ========== ================ ================ =======================================
    grant      + amount         -                + amount
    use        - amount         -                -
    reversal   + amount         -                raised by what would pass it (rule 2)
    adjustment + amount, signed -                raised by what would pass it (rule 2)
    expiry     -                -                - (amount: the part that lapsed, rule 28)
    reopening  -                -                - (amount: the part usable again, rule 28)
    void       - amount         -                - amount (rule 29)
    hold       -                + amount         - (rule 26)
    release    -                - amount         - (rule 26)
    ========== ================ ================ =======================================

    The `CreditUsed` that a history shows is the rise of Total less the rise of Remaining: the
    amount of a use, the negative amount of a reversal, nearer to 0 where Total rose. A line that only records an event, such
    as a corrected description (rule 11), is an adjustment of 0.

    `sequence` counts 1, 2, 3… on each credit. `reverses` is the sequence of the line on the same
    credit that this one reverses. `history_id` is the wire's use-history row that shows the line.
    `override` marks what eligibility would have refused (rule 8).
    Times are microseconds since 1970-01-01 UTC. Texts are any Unicode that UTF-8 can carry.
    `format_version` names the byte format in which the line was chained and stays with it.
    """

    credit_kind: AccountType
    credit_id: int
    sequence: int
    kind: EntryType
    amount: int
    balance_after: int
    held_after: int
    total_after: int
    source_kind: str | None = None
    source_id: int | None = None
    actor: str
    reason: str = ""
    idempotency_key: str | None = None
    reverses: int | None = None
    rule_version: int
    effective_microseconds: int
    recorded_microseconds: int
    history_id: int | None = None
    override: bool = False
    format_version: int = 1

    @property
    def balance_change(self) -> int:
        """Signed change of Remaining, in the smallest step."""
        return balance_change(self.kind, self.amount)

    @property
    def held_change(self) -> int:
        """Signed change of what holds reserve, in the smallest step."""
        return held_change(self.kind, self.amount)

    def to_document(self) -> dict[str, Any]:
        """The line as a JSON object, each field under its own name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    @classmethod
    def from_document(cls, document: object) -> "JournalEntry":
        """Read a line's JSON object; ValueError names what is wrong with it."""
        values = dict(require_exact_fields(document, cls.__struct_fields__))
        for name, value in values.items():
            if value is None and name in _NULLABLE:
                continue
            if name == "override":
                if not isinstance(value, bool):
                    raise ValueError("The field 'override' is not true or false.")
            elif name not in _TEXT_FIELDS:
                read_int64(values, name)
            elif isinstance(value, str):
                values[name] = _TEXT_FIELDS[name](value)
            else:
                raise ValueError(f"The field {name!r} is not a text.")
        return cls(**values)


def require_exact_fields(document: object, names: Iterable[str]) -> dict[str, Any]:
    """A JSON object with just these fields, else ValueError.

    A further field would be read by people without being covered by any digest.
    """
    if not isinstance(document, dict):
        raise ValueError("The document is not an object.")
    if differing := sorted(set(names).symmetric_difference(document)):
        raise ValueError(f"The field {differing[0]!r} is missing or does not belong here.")
    return document


def read_int64(values: dict[str, Any], name: str, minimum: int = -(2**63)) -> int:
    """The field as a 64-bit integer, else ValueError; true and 1.0 are none."""
    value = values[name]
    if type(value) is not int or not minimum <= value < 2**63:
        raise ValueError(f"The field {name!r} is not a whole number in range.")
    return value


def epoch_microseconds(instant: datetime) -> int:
    """Exact microseconds from 1970-01-01 UTC to an aware `instant`; a naive one is a TypeError."""
    return (instant - _EPOCH) // _MICROSECOND


def from_epoch_microseconds(microseconds: int) -> datetime:
    """The aware UTC instant that many microseconds after 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
