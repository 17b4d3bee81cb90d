"""The journal entry: the append-only record of every change of a credit (rule 1)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from msgspec import Struct, convert

from creditdesk.ledger.journal.causes import Cause

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class AccountType(StrEnum):
    """Money accounts count ten-thousandths of a currency; time and printing credit whole uses."""

    MONEY = "money"
    TIME = "time"


class EntryType(StrEnum):
    """What an entry did to its credit; see `JournalEntry` for the meaning of its amount (rule 1)."""

    GRANT = "grant"
    USE = "use"
    REVERSAL = "reversal"
    ADJUSTMENT = "adjustment"
    EXPIRY = "expiry"
    REOPENING = "reopening"
    VOID = "void"
    HOLD = "hold"
    RELEASE = "release"
    CHANGE = "change"


_BALANCE_SIGN = {
    EntryType.GRANT: 1,
    EntryType.USE: -1,
    EntryType.REVERSAL: 1,
    EntryType.ADJUSTMENT: 1,
    EntryType.VOID: -1,
}
RAISES_TOTAL = frozenset({EntryType.ADJUSTMENT, EntryType.REVERSAL})
"""Entries that raise Total where Remaining would pass it (rule 2)."""
_HELD_SIGN = {EntryType.HOLD: 1, EntryType.RELEASE: -1}
_TEXT_FIELDS = {
    "credit_kind": AccountType,
    "kind": EntryType,
    "cause": Cause,
    **dict.fromkeys(("source_kind", "actor", "reason", "idempotency_key", "unique_id", "document"), str),
}
_NULLABLE = {
    *("source_kind", "source_id", "idempotency_key", "reverses", "history_id"),
    *("owner_id", "member_id", "allocation_id", "document"),
}


def balance_change(kind: EntryType, amount: int) -> int:
    """Signed change of Remaining by an entry of this kind and amount."""
    return _BALANCE_SIGN.get(kind, 0) * amount


def held_change(kind: EntryType, amount: int) -> int:
    """Signed change of the held amount by an entry of this kind and amount."""
    return _HELD_SIGN.get(kind, 0) * amount


class JournalEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a credit's journal, in the credit's smallest unit (rule 1).

    `amount` is never negative, except for an adjustment. Its effect depends on the kind; the three
    `…_after` fields state the result:

    ========== ================ ================ =======================================
    kind       Remaining        held             Total
    ========== ================ ================ =======================================
    grant      + amount         -                + amount
    use        - amount         -                -
    reversal   + amount         -                raised by what would pass it (rule 2)
    adjustment + amount, signed -                raised by what would pass it (rule 2)
    expiry     -                -                - (amount: the part that expired, rule 28)
    reopening  -                -                - (amount: the part usable again, rule 28)
    void       - amount         -                - amount (rule 29)
    hold       -                + amount         - (rule 26)
    release    -                - amount         - (rule 26)
    change     -                -                - (amount 0: new terms, see `document`)
    ========== ================ ================ =======================================

    The `CreditUsed` of a history row is the rise of Total less the rise of Remaining: the amount of
    a use, the negative amount of a reversal, less where Total rose. An event without an amount,
    such as a corrected description (rule 11), is an adjustment of 0.

    `sequence` counts 1, 2, 3… on each credit. `reverses` is the sequence of the entry on the same
    credit that this one reverses. `history_id` is the Id of the use-history row that shows the
    entry. `override` marks a use that eligibility would have rejected (rule 8). Times are
    microseconds since 1970-01-01 UTC. Texts are any Unicode that UTF-8 can encode.

    `cause` is the code of why it was written (rule 36). `line_id` and `unique_id` identify its
    record, `location_id` is the credit's location and `owner_id` its owner when it was written;
    `member_id` is the customer it was written for, where that is not the owner. `allocation_id` is
    the stored decision that it executes. `document` states a grant's or a change's terms, as
    canonical JSON. `format_version` is the byte format under which the entry was hashed; format 1
    covers none of the fields from `cause` to `document`.
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
    cause: Cause = Cause.UNKNOWN
    line_id: int = 0
    unique_id: str = ""
    location_id: int = 0
    owner_id: int | None = None
    member_id: int | None = None
    allocation_id: int | None = None
    document: str | None = None
    format_version: int = 1

    @property
    def balance_change(self) -> int:
        """Signed change of Remaining, in the smallest unit."""
        return balance_change(self.kind, self.amount)

    @property
    def held_change(self) -> int:
        """Signed change of the held amount, in the smallest unit."""
        return held_change(self.kind, self.amount)

    def to_document(self) -> dict[str, object]:
        """The entry as a JSON object: the fields of this class that its format covers."""
        return {name: getattr(self, name) for name in _covered_fields(self.format_version)}

    @classmethod
    def from_document(cls, document: object) -> "JournalEntry":
        """Parses an entry's JSON object. Raises ValueError with the first error."""
        version = document.get("format_version") if isinstance(document, dict) else None
        values = dict(require_exact_fields(document, _covered_fields(version)))
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
        return convert(values, cls)


_SINCE_FORMAT_2 = frozenset(
    ("cause", "line_id", "unique_id", "location_id", "owner_id", "member_id", "allocation_id", "document")
)


def _covered_fields(format_version: object) -> list[str]:
    """The fields of an entry that a format covers, its own number included."""
    names = JournalEntry.__struct_fields__
    return [name for name in names if format_version != 1 or name not in _SINCE_FORMAT_2]


def require_exact_fields(document: object, names: Iterable[str]) -> dict[str, object]:
    """Returns `document` if it is a JSON object with exactly these fields; else raises ValueError.

    No digest covers an extra field, so a reader could be misled by it.
    """
    if not isinstance(document, dict):
        raise ValueError("The document is not an object.")
    if differing := sorted(set(names).symmetric_difference(document)):
        raise ValueError(f"The field {differing[0]!r} is missing or does not belong here.")
    return document


def read_int64(values: Mapping[str, object], name: str, minimum: int = -(2**63)) -> int:
    """The field as a 64-bit integer. Raises ValueError for anything else, also for true and 1.0."""
    value = values[name]
    if type(value) is not int or not minimum <= value < 2**63:
        raise ValueError(f"The field {name!r} is not a whole number in range.")
    return value


def epoch_microseconds(instant: datetime) -> int:
    """Microseconds from 1970-01-01 UTC to `instant`. Raises TypeError for a naive datetime."""
    return (instant - _EPOCH) // _MICROSECOND


def from_epoch_microseconds(microseconds: int) -> datetime:
    """The UTC datetime that many microseconds after 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
