"""The movements of one credit: each entry and each expiry that changed its outstanding amount.

Every report is a sum of these movements, so each figure can be broken down into them. Expiry is computed
from its instant, never as a balancing figure: what remains then expires, a use of expired credit reduces
what has expired by as much, and what is returned to expired credit expires at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from creditdesk.ledger.journal.causes import Cause
from creditdesk.ledger.journal.entry import EntryType, balance_change
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.reports.values import (
    CreditMovement,
    Cut,
    Flow,
    Microseconds,
    Position,
    ReportCredit,
    ReportEntry,
    WindowChange,
)

_FLOWS: Final = {
    EntryType.GRANT: Flow.GRANTED,
    EntryType.USE: Flow.USED,
    EntryType.REVERSAL: Flow.REVERSED,
    EntryType.ADJUSTMENT: Flow.ADJUSTED,
    EntryType.VOID: Flow.VOIDED,
}


_TRANSFERS: Final = frozenset({Cause.ROLLED_OVER, Cause.REISSUED})
_FORMER_TRANSFERS: Final = frozenset({"rolled over", "returned as a new grant"})
"""The reason of a transfer in entries from before causes were recorded."""


def flow_of(credit: ReportCredit, entry: ReportEntry) -> Flow | None:
    """The flow of an entry that changes the remaining amount; None for any other."""
    flow = _FLOWS.get(entry.kind)
    if flow is Flow.GRANTED and (entry.cause in _TRANSFERS or credit.continues is not None):
        return Flow.ROLLED_IN
    is_former = entry.cause is Cause.UNKNOWN and entry.reason in _FORMER_TRANSFERS
    if flow is Flow.VOIDED and (entry.cause in _TRANSFERS or is_former):
        return Flow.ROLLED_OUT
    return flow


def is_past(expires: Microseconds | None, at: Microseconds) -> bool:
    """Whether credit with this expiry has expired by `at`."""
    return expires is not None and expires <= at


def opening_expiry(credit: ReportCredit, entries: Sequence[ReportEntry]) -> Microseconds | None:
    """The expiry before the entries: the one before the first change of the window."""
    first = next((entry.window for entry in entries if entry.window is not None), None)
    return first.before if first is not None else credit.expires


def position_at(
    credit: ReportCredit, opening: Position, entries: Sequence[ReportEntry], cut: Cut, *, by_recording: bool
) -> Position:
    """What the credit holds at a cut, from an earlier position and the entries since.

    With `by_recording` the entries are in the order of their recording, so the last one before the cut
    has the balances; otherwise they are summed.
    """
    before = [entry for entry in entries if entry.at < cut.entries_before]
    changes = [entry.window for entry in before if entry.window is not None]
    expires = changes[-1].after if changes else opening_expiry(credit, entries)
    expired = is_past(expires, cut.expired_by)
    if not before:
        return Position(opening.remaining, opening.held, expired, expires)
    if by_recording:
        return Position(before[-1].balance_after, before[-1].held_after, expired, expires)
    latest = max(before, key=lambda entry: entry.sequence)
    change = sum(balance_change(entry.kind, entry.amount) for entry in before)
    return Position(opening.remaining + change, latest.held_after, expired, expires)


def credit_movements(
    credit: ReportCredit, opening: Position, entries: Sequence[ReportEntry], start: Cut, end: Cut
) -> Iterator[CreditMovement]:
    """The movements of a credit from `start` to `end`, in order; `opening` is its position at `start`.

    Their amounts add up to the difference between the outstanding amounts at the two cuts.
    """
    life = CreditLife(credit, opening)
    for entry in entries:
        if start.entries_before <= entry.at < end.entries_before:
            yield from life.until(entry.at)
            yield from life.apply(entry)
    yield from life.until(end.expired_by)


class CreditLife:
    """A credit as it moves: what remains, its expiry, and whether that has passed."""

    def __init__(self, credit: ReportCredit, opening: Position) -> None:
        self._credit = credit
        self._remaining, self._outstanding = opening.remaining, opening.outstanding
        self._expires, self._is_expired = opening.expires, opening.is_expired

    @property
    def is_expired(self) -> bool:
        return self._is_expired

    def until(self, at: Microseconds) -> Iterator[CreditMovement]:
        """The expiry, if it comes by then."""
        if not self._is_expired and is_past(self._expires, at):
            self._is_expired = True
            yield from self._move(self._expires or 0, Flow.EXPIRED, -max(self._remaining, 0), None)

    def apply(self, entry: ReportEntry) -> Iterator[CreditMovement]:
        """Applies an entry and yields the movements that it causes."""
        if entry.window is not None:
            yield from self._change_window(entry, entry.window)
        change = balance_change(entry.kind, entry.amount)
        flow = flow_of(self._credit, entry)
        if flow is None or not change:
            return
        before, self._remaining = self._remaining, self._remaining + change
        yield from self._move(entry.at, flow, change, entry)
        if self._is_expired:
            yield from self._move(entry.at, Flow.EXPIRED, max(before, 0) - max(self._remaining, 0), entry)

    def _change_window(self, entry: ReportEntry, window: WindowChange) -> Iterator[CreditMovement]:
        was_expired, self._expires = self._is_expired, window.after
        self._is_expired = is_past(window.after, entry.at)
        if was_expired and not self._is_expired:
            yield from self._move(entry.at, Flow.REOPENED, max(self._remaining, 0), entry)
        elif self._is_expired and not was_expired:
            yield from self._move(entry.at, Flow.EXPIRED, -max(self._remaining, 0), entry)

    def _move(
        self, at: Microseconds, flow: Flow, amount: Amount, entry: ReportEntry | None
    ) -> Iterator[CreditMovement]:
        if amount:
            self._outstanding += amount
            yield CreditMovement(self._credit, at, flow, amount, self._outstanding, entry)
