"""A plain model of the ledger: sums over lists of entries, independent of the store.

Amounts are in a credit's smallest step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from creditdesk.ledger.journal.mapping import AccountKey, CreditTypeMapping

BALANCE_SIGN = {"grant": 1, "use": -1, "reversal": 1, "adjustment": 1, "void": -1}
HELD_SIGN = {"hold": 1, "release": -1}
PRICE_STEP = timedelta(minutes=15)


class ModelEntry(NamedTuple):
    kind: str
    amount: int
    remaining: int
    held: int
    total: int
    recorded_on: datetime
    effective_on: datetime

    @property
    def change(self) -> int:
        return BALANCE_SIGN.get(self.kind, 0) * self.amount


@dataclass
class ModelUse:
    """One row of a use history; `used` is None for a use of unknown length."""

    credit: ModelCredit
    used: int | None
    is_use: bool = False
    reversed: int = 0
    booking_id: int | None = None
    id: int = 0

    @property
    def unreversed(self) -> int:
        return (self.used or 0) - self.reversed if self.is_use else 0


@dataclass
class ModelCredit:
    mapping: CreditTypeMapping
    id: int
    total: int
    starts: datetime | None = None
    expires: datetime | None = None
    for_bookings: bool = False
    universal: bool = False
    uses_credit_price: bool = False
    covers: str = "money"
    """`money`, `minutes` of the resource, `uses` without a resource, or `prints`."""
    remaining: int = 0
    held: int = 0
    ended: int = 0
    """Of what is held, how much is past its time: it counts no more, but its release is not written."""
    entries: list[ModelEntry] = field(default_factory=list)
    uses: list[ModelUse] = field(default_factory=list)
    expiry_posted: datetime | None = None
    deleted: bool = False
    compared_entries: int = 0
    """How many of its entries were compared with the journal."""

    def __post_init__(self) -> None:
        self.remaining = self.total

    @property
    def account(self) -> AccountKey:
        return (self.mapping.account_type, self.id)

    @property
    def available(self) -> int:
        return self.remaining - self.held + self.ended

    def is_expired(self, at: datetime) -> bool:
        return self.expires is not None and self.expires <= at

    def is_valid(self, at: datetime) -> bool:
        return not self.is_expired(at) and (self.starts is None or self.starts <= at)

    def balance(self, at: datetime) -> int:
        return sum(line.change for line in self.entries if line.recorded_on <= at)

    def balance_as_known(self, at: datetime, known: datetime) -> int:
        counted = [x for x in self.entries if x.recorded_on <= known and x.effective_on <= at]
        return sum(line.change for line in counted)


@dataclass
class ModelBooking:
    id: int
    starts: datetime
    ends: datetime
    hourly: int
    tentative: bool = False
    charged: bool = False
    charge: int | None = None
    charge_invoiced: bool = False
    deleted: bool = False
    payments: list[tuple[ModelUse, int]] = field(default_factory=list)
    """Each use of an allocation with the part of the price that it covered."""

    @property
    def minutes(self) -> int:
        return -((self.starts - self.ends) // PRICE_STEP) * 15

    @property
    def price(self) -> int:
        return round_to_step(Fraction(self.hourly * self.minutes, 60), 100)

    @property
    def covered(self) -> int:
        return sum(
            round_to_step(Fraction(covered * row.unreversed, row.used), 100) for row, covered in self.payments if row.used
        )  # fmt: skip


@dataclass
class ModelHold:
    credit: ModelCredit
    amount: int
    covered: int
    booking: int | None
    group: int
    until: datetime | None
    state: str = "held"

    def has_ended(self, at: datetime) -> bool:
        return self.until is not None and self.until <= at


class LedgerModel:
    """The credits, uses, bookings and holds of one customer, and the changes since the last comparison."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.credits: dict[AccountKey, ModelCredit] = {}
        self.uses: dict[tuple[CreditTypeMapping, int], ModelUse] = {}
        self.bookings: dict[int, ModelBooking] = {}
        self.holds: list[ModelHold] = []
        self.changed: dict[AccountKey, ModelCredit] = {}
        self.uses_without_id: list[ModelUse] = []
        self.balances_at: list[tuple[datetime, dict[AccountKey, int]]] = []

    def advance_to(self, instant: datetime) -> None:
        """A later instant: what is held past its time counts no more (rule 26)."""
        for held in self.holds:
            if held.state == "held" and held.has_ended(instant) and not held.has_ended(self.now):
                held.credit.ended += held.amount
        self.now = instant

    def add(self, credit: ModelCredit) -> ModelCredit:
        """A new credit with its grant."""
        self.credits[credit.account] = credit
        self._grant(credit)
        return credit

    def _grant(self, credit: ModelCredit) -> None:
        total, credit.total, credit.remaining = credit.total, 0, 0
        self._append(credit, "grant", total)

    def post(
        self,
        credit: ModelCredit,
        kind: str,
        amount: int,
        row: ModelUse | None = None,
        effective: datetime | None = None,
    ) -> None:
        self._release_ended(credit)
        used = self._append(credit, kind, amount, effective)
        if row is not None:
            if row.used is not None:
                row.used = used
            credit.uses.append(row)
            self.uses_without_id.append(row)

    def _append(self, credit: ModelCredit, kind: str, amount: int, effective: datetime | None = None) -> int:
        before = (credit.total, credit.remaining)
        credit.remaining += BALANCE_SIGN.get(kind, 0) * amount
        credit.held += HELD_SIGN.get(kind, 0) * amount
        if kind == "grant":
            credit.total += amount
        elif kind == "void":
            credit.total -= amount
        elif kind in ("adjustment", "reversal") and credit.remaining > credit.total:
            credit.total = credit.remaining
        recorded = max(self.now, credit.entries[-1].recorded_on) if credit.entries else self.now
        credit.entries.append(
            ModelEntry(
                kind, amount, credit.remaining, credit.held, credit.total, recorded,
                effective or recorded,
            )
        )  # fmt: skip
        self.changed[credit.account] = credit
        return (credit.total - before[0]) - (credit.remaining - before[1])

    def add_use(self, credit: ModelCredit, amount: int | None, booking: int | None = None) -> ModelUse:
        row = ModelUse(credit, amount, True, booking_id=booking)
        self.post(credit, "use", amount or 0, row)
        return row

    def add_reversal(self, row: ModelUse, amount: int) -> None:
        row.reversed += amount
        self.post(row.credit, "reversal", amount, ModelUse(row.credit, -amount, booking_id=row.booking_id))

    def release(self, held: ModelHold, state: str) -> None:
        """Releases a hold; one that has ended is released, whatever is asked, as of when it ended."""
        if held.has_ended(self.now):
            self._release_ended(held.credit)
        else:
            self.post(held.credit, "release", held.amount)
            held.state = state

    def _release_ended(self, credit: ModelCredit) -> None:
        """What is written before any other entry: the releases of the credit's ended holds (rule 26)."""
        for held in self.holds:
            if held.credit is credit and held.state == "held" and held.has_ended(self.now):
                held.state = "released"
                credit.ended -= held.amount
                self._append(credit, "release", held.amount, held.until)

    def active_holds(self, booking: int) -> list[ModelHold]:
        return [h for h in self.holds if h.state == "held" and h.booking == booking]

    def hold_group(self, group: int) -> list[ModelHold]:
        return [h for h in self.holds if h.group == group]

    def uses_for_booking(self, booking: int) -> list[ModelUse]:
        """Every use of a booking, oldest first."""
        return [row for row in self.uses.values() if row.booking_id == booking]

    def existing_credits(self) -> list[ModelCredit]:
        return [credit for credit in self.credits.values() if not credit.deleted]

    def record_balances(self) -> None:
        """Records all balances at the end of the current instant."""
        now = {account: c.balance(self.now) for account, c in self.credits.items()}
        self.balances_at.append((self.now, now))


def round_to_step(value: Fraction, step: int) -> int:
    """The nearest multiple of a step, halves away from zero; for values that are not negative."""
    return int(value / step + Fraction(1, 2)) * step
