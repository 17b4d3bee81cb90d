"""The totals of credits: how much moved by each flow since the beginning, and what is held at a cut.

The difference of the totals at two cuts is what moved between them; totals of credits of one group add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import add, sub
from typing import Any, Final, NamedTuple

from msgspec import Struct

from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.movements import CreditLife, opening_expiry
from creditdesk.reports.values import (
    BEGINNING,
    CreditMovement,
    Cut,
    Flow,
    Microseconds,
    Position,
    ReportCredit,
    ReportEntry,
)
from creditdesk.schema.conversions import parse_datetime

_FLOWS: Final = tuple(Flow)
_FLOW_POSITIONS: Final = {flow: position for position, flow in enumerate(_FLOWS)}
_CREDITS: Final = len(_FLOWS)
_HOLDING_SIZE: Final = 6
_ZEROS: Final = (0,) * (_CREDITS + _HOLDING_SIZE)
_TERMS: Final = ("BusinessId", "ExtraServiceId", "Funding", "ValidFrom")


class GroupKey(NamedTuple):
    """The credits that totals add up: one location, account type, rate and funding. `rate_id` 0 stands for no rate."""

    business_id: int
    account_type: AccountType
    rate_id: int
    funding: FundingKind


class Totals(Struct, frozen=True, gc=False):
    """Sums over credits of one unit, in its smallest: each flow in order of `Flow`, then what is held.

    The latter count credits that hold something: their number, original, remaining, held, expired and
    not yet valid amounts.
    """

    values: tuple[Amount, ...] = _ZEROS

    def __add__(self, other: Totals) -> Totals:
        return Totals(tuple(map(add, self.values, other.values)))

    def __sub__(self, other: Totals) -> Totals:
        return Totals(tuple(map(sub, self.values, other.values)))

    def __bool__(self) -> bool:
        return self.values != _ZEROS

    def flow(self, flow: Flow) -> Amount:
        return self.values[_FLOW_POSITIONS[flow]]

    @property
    def credits(self) -> int:
        return self.values[_CREDITS]

    @property
    def outstanding(self) -> Amount:
        """Remaining less expired."""
        return self.values[_CREDITS + 2] - self.values[_CREDITS + 4]

    @property
    def amounts(self) -> tuple[Amount, ...]:
        """Original, used, remaining, held, expired, not yet valid and outstanding."""
        original, remaining, *others = self.values[_CREDITS + 1 :]
        return (original, original - remaining, remaining, *others, self.outstanding)


NO_TOTALS: Final = Totals()


class GroupTotals(NamedTuple):
    """The totals of one credit at a cut, and the group that it belonged to then."""

    group: GroupKey
    totals: Totals


class RunningTotals:
    """The totals of one credit at one cut after another, from its whole journal in order of recording."""

    def __init__(self, credit: ReportCredit, entries: Sequence[ReportEntry]) -> None:
        self._entries = entries
        self._life = CreditLife(credit, Position(expires=opening_expiry(credit, entries)))
        self._flows: list[Amount] = [0] * len(_FLOWS)
        self._next = 0
        self._account_type = credit.account_type
        self._terms = _opening_terms(credit, entries)
        self._group = self._group_of_terms()

    def at(self, cut: Cut) -> GroupTotals:
        """The totals at a cut, which must not be before that of the previous call."""
        while self._next < len(self._entries) and self._entries[self._next].at < cut.entries_before:
            entry = self._entries[self._next]
            self._next += 1
            self._add(self._life.until(entry.at))
            self._add(self._life.apply(entry))
            if entry.terms:
                self._terms |= {name: after for name, (_, after) in entry.terms.items()}
                self._group = self._group_of_terms()
        self._add(self._life.until(cut.expired_by))
        return GroupTotals(self._group, Totals((*self._flows, *self._holding(cut))))

    def _group_of_terms(self) -> GroupKey:
        location, rate, funding = (self._terms[name] for name in _TERMS[:3])
        return GroupKey(location, self._account_type, rate or 0, FundingKind(funding))

    def _holding(self, cut: Cut) -> tuple[Amount, ...]:
        if not self._next:
            return (0,) * _HOLDING_SIZE
        newest = self._entries[self._next - 1]
        remaining, held = newest.balance_after, newest.held_after
        if not remaining and not held:
            return (0,) * _HOLDING_SIZE
        expired = max(remaining, 0) if self._life.is_expired else 0
        valid_from = _microseconds(self._terms["ValidFrom"])
        is_future = valid_from is not None and valid_from > cut.expired_by
        return (1, newest.total_after, remaining, held, expired, remaining - expired if is_future else 0)

    def _add(self, movements: Iterable[CreditMovement]) -> None:
        for each in movements:
            self._flows[_FLOW_POSITIONS[each.flow]] += each.amount


@dataclass(frozen=True, slots=True)
class PeriodTotals:
    """The totals of every location of a report at the cuts that it needs.

    `credits` has a representative credit of each group. `first_date` is the local date of the first entry if the
    report begins there.
    """

    first_date: date | None
    credits: Mapping[GroupKey, ReportCredit]
    at: Mapping[int, Mapping[Cut, Mapping[GroupKey, Totals]]]

    def totals(self, key: GroupKey, cut: Cut) -> Totals:
        """The totals of a group at a cut of its location; zero before the beginning."""
        if cut.entries_before == BEGINNING:
            return NO_TOTALS
        return self.at[key.business_id][cut].get(key, NO_TOTALS)


def turning_points(credit: ReportCredit, entries: Sequence[ReportEntry]) -> list[Microseconds]:
    """The first instants after each change of the credit's totals, by an entry or by its validity window."""
    found = [entry.at + 1 for entry in entries]
    windows: list[Any] = [credit.expires, credit.valid_from]
    for entry in entries:
        for name in ("ExpireDate", "ValidFrom"):
            windows += entry.terms.get(name, ())
    return found + [instant for each in windows if (instant := _microseconds(each)) is not None]


def _opening_terms(credit: ReportCredit, entries: Sequence[ReportEntry]) -> dict[str, Any]:
    """The terms before the first entry: those before the first change of each, or the record's."""
    current = (credit.business_id, credit.rate_id, credit.funding.value, credit.valid_from)
    terms: dict[str, Any] = dict(zip(_TERMS, current, strict=True))
    for entry in reversed(entries):
        for name, (before, _) in entry.terms.items():
            terms[name] = before
    return terms


def _microseconds(instant: str | Microseconds | None) -> Microseconds | None:
    return epoch_microseconds(parse_datetime(instant)[0]) if isinstance(instant, str) else instant
