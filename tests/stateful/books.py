"""The books a careful person would keep: plain sums, one line after the other, no cleverness.

Knows nothing of the store. Amounts are in a credit's smallest step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from creditdesk.ledger.journal.mapping import Account, Side

SIGN = {"grant": 1, "use": -1, "reversal": 1, "adjustment": 1, "void": -1}
HELD_SIGN = {"hold": 1, "release": -1}
STEP = timedelta(minutes=15)


class Line(NamedTuple):
    kind: str
    amount: int
    remaining: int
    held: int
    total: int
    recorded: datetime
    effective: datetime

    @property
    def change(self) -> int:
        return SIGN.get(self.kind, 0) * self.amount


@dataclass
class Row:
    """One row of a use history; `used` is None for a use whose length is not known."""

    credit: Credit
    used: int | None
    is_use: bool = False
    reversed: int = 0
    booking: int | None = None
    id: int = 0

    @property
    def left(self) -> int:
        return (self.used or 0) - self.reversed if self.is_use else 0


@dataclass
class Credit:
    side: Side
    id: int
    total: int
    starts: datetime | None = None
    expires: datetime | None = None
    for_bookings: bool = False
    universal: bool = False
    at_credit_price: bool = False
    pays: str = "money"
    """`money`, `minutes` of the room, `uses` of nothing in particular, or `prints`."""
    remaining: int = 0
    held: int = 0
    lines: list[Line] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    swept: datetime | None = None
    deleted: bool = False
    seen: int = 0
    """How many of its lines were compared with the journal."""

    def __post_init__(self) -> None:
        self.remaining = self.total

    @property
    def account(self) -> Account:
        return (self.side.kind, self.id)

    @property
    def available(self) -> int:
        return self.remaining - self.held

    def lapsed(self, at: datetime) -> bool:
        return self.expires is not None and self.expires <= at

    def valid(self, at: datetime) -> bool:
        return not self.lapsed(at) and (self.starts is None or self.starts <= at)

    def balance(self, at: datetime) -> int:
        return sum(line.change for line in self.lines if line.recorded <= at)

    def balance_as_known(self, at: datetime, known: datetime) -> int:
        counted = [x for x in self.lines if x.recorded <= known and x.effective <= at]
        return sum(line.change for line in counted)


@dataclass
class Booking:
    id: int
    starts: datetime
    ends: datetime
    hourly: int
    tentative: bool = False
    charged: bool = False
    charge: int | None = None
    charge_invoiced: bool = False
    deleted: bool = False
    decided: bool = False
    """Whether the engine ever decided about it: a use posted for it then might look like its own."""
    paid: list[tuple[Row, int]] = field(default_factory=list)
    """Each use of the engine with what it covered of the price."""

    @property
    def minutes(self) -> int:
        return -((self.starts - self.ends) // STEP) * 15

    @property
    def price(self) -> int:
        return nearest(Fraction(self.hourly * self.minutes, 60), 100)

    @property
    def covered(self) -> int:
        return sum(
            nearest(Fraction(covered * row.left, row.used), 1) for row, covered in self.paid if row.used
        )  # fmt: skip


@dataclass
class Held:
    credit: Credit
    amount: int
    covered: int
    booking: int | None
    group: int
    until: datetime | None
    state: str = "held"


class Books:
    """All credits, rows, bookings and holds of one customer, and what was written since last."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.credits: dict[Account, Credit] = {}
        self.rows: dict[tuple[Side, int], Row] = {}
        self.bookings: dict[int, Booking] = {}
        self.holds: list[Held] = []
        self.touched: dict[Account, Credit] = {}
        self.unnumbered: list[Row] = []
        self.balances_at: list[tuple[datetime, dict[Account, int]]] = []

    def add(self, credit: Credit, *, journal: bool = True) -> Credit:
        """A new credit; without a journal it gets its first line when it is first moved."""
        self.credits[credit.account] = credit
        if journal:
            self._open(credit)
        return credit

    def _open(self, credit: Credit) -> None:
        total, credit.total, credit.remaining = credit.total, 0, 0
        self._put(credit, "grant", total)

    def write(
        self,
        credit: Credit,
        kind: str,
        amount: int,
        row: Row | None = None,
        effective: datetime | None = None,
    ) -> None:
        if not credit.lines:
            self._open(credit)
        used = self._put(credit, kind, amount, effective)
        if row is not None:
            if row.used is not None:
                row.used = used
            credit.rows.append(row)
            self.unnumbered.append(row)

    def _put(
        self, credit: Credit, kind: str, amount: int, effective: datetime | None = None
    ) -> int:
        before = (credit.total, credit.remaining)
        credit.remaining += SIGN.get(kind, 0) * amount
        credit.held += HELD_SIGN.get(kind, 0) * amount
        if kind == "grant":
            credit.total += amount
        elif kind == "void":
            credit.total -= amount
        elif kind in ("adjustment", "reversal") and credit.remaining > credit.total:
            credit.total = credit.remaining
        recorded = max(self.now, credit.lines[-1].recorded) if credit.lines else self.now
        credit.lines.append(
            Line(
                kind, amount, credit.remaining, credit.held, credit.total, recorded,
                effective or recorded,
            )
        )  # fmt: skip
        self.touched[credit.account] = credit
        return (credit.total - before[0]) - (credit.remaining - before[1])

    def use(self, credit: Credit, amount: int | None, booking: int | None = None) -> Row:
        row = Row(credit, amount, True, booking=booking)
        self.write(credit, "use", amount or 0, row)
        return row

    def give_back(self, row: Row, amount: int) -> None:
        row.reversed += amount
        self.write(row.credit, "reversal", amount, Row(row.credit, -amount, booking=row.booking))

    def release(self, held: Held, state: str) -> None:
        self.write(held.credit, "release", held.amount)
        held.state = state

    def held_for(self, booking: int) -> list[Held]:
        return [h for h in self.holds if h.state == "held" and h.booking == booking]

    def group(self, group: int) -> list[Held]:
        return [h for h in self.holds if h.group == group]

    def naming(self, booking: int) -> list[Row]:
        """Every row that names a booking, oldest first."""
        return [row for row in self.rows.values() if row.booking == booking]

    def alive(self) -> list[Credit]:
        return [credit for credit in self.credits.values() if not credit.deleted]

    def remember(self) -> None:
        """Notes all balances as they are when an instant is over."""
        now = {account: c.balance(self.now) for account, c in self.credits.items()}
        self.balances_at.append((self.now, now))


def nearest(value: Fraction, step: int) -> int:
    """The nearest multiple of a step, halves away from zero; never asked below zero."""
    return int(value / step + Fraction(1, 2)) * step
