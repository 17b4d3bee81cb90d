"""The movements of one credit: what changed its outstanding amount, entry by entry and expiry by expiry.

Every report is a sum of these movements, so each of its figures can be opened. What expires is computed
from the instant of expiry, never as a balancing figure: credit expires with what remains then, a use of
expired credit takes back as much from what expired, and what returns to expired credit expires at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from creditdesk.ledger.journal.entry import EntryType, balance_change
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.reports.values import CreditMovement, Cut, Flow, Microseconds, Position, ReportCredit, ReportEntry

_FLOWS: Final = {
    EntryType.GRANT: Flow.GRANTED,
    EntryType.USE: Flow.USED,
    EntryType.REVERSAL: Flow.REVERSED,
    EntryType.ADJUSTMENT: Flow.ADJUSTED,
    EntryType.VOID: Flow.VOIDED,
}


def flow_of(credit: ReportCredit, entry: ReportEntry) -> Flow | None:
    """The flow of an entry that changes what remains; None for one that does not."""
    flow = _FLOWS.get(entry.kind)
    if flow is Flow.GRANTED and credit.continues is not None:
        return Flow.ROLLED_IN
    if flow is Flow.VOIDED and entry.reason in ("rolled over", "returned as a new grant"):
        return Flow.ROLLED_OUT
    return flow


def is_expired_at(credit: ReportCredit, at: Microseconds) -> bool:
    """Whether the credit's window has ended by `at`."""
    return credit.expires is not None and credit.expires <= at


def position_at(
    credit: ReportCredit, opening: Position, entries: Sequence[ReportEntry], cut: Cut, *, by_recording: bool
) -> Position:
    """What the credit holds at a cut, from an earlier position and the entries since.

    `by_recording`: the entries are in the order of their recording, so that the last one before the
    cut states the balances; otherwise they are summed.
    """
    before = [entry for entry in entries if entry.at < cut.entries_before]
    expired = is_expired_at(credit, cut.expired_by)
    if not before:
        return Position(opening.remaining, opening.held, expired)
    if by_recording:
        return Position(before[-1].balance_after, before[-1].held_after, expired)
    latest = max(before, key=lambda entry: entry.sequence)
    change = sum(balance_change(entry.kind, entry.amount) for entry in before)
    return Position(opening.remaining + change, latest.held_after, expired)


def credit_movements(
    credit: ReportCredit, opening: Position, entries: Sequence[ReportEntry], start: Cut, end: Cut
) -> Iterator[CreditMovement]:
    """The movements of a credit from `start` to `end`, in order; `opening` is its position at `start`.

    Their amounts add up to the difference between the outstanding amounts at the two cuts.
    """
    remaining, outstanding, expired = opening.remaining, opening.outstanding, opening.is_expired

    def moved(at: Microseconds, flow: Flow, amount: Amount, entry: ReportEntry | None) -> CreditMovement:
        nonlocal outstanding
        outstanding += amount
        return CreditMovement(credit, at, flow, amount, outstanding, entry)

    for entry in entries:
        if not start.entries_before <= entry.at < end.entries_before:
            continue
        if not expired and is_expired_at(credit, entry.at):
            expired = True
            if remaining > 0:
                yield moved(credit.expires or 0, Flow.EXPIRED, -remaining, None)
        change = balance_change(entry.kind, entry.amount)
        flow = flow_of(credit, entry)
        if flow is None or not change:
            continue
        before, remaining = remaining, remaining + change
        yield moved(entry.at, flow, change, entry)
        if expired and (offset := max(before, 0) - max(remaining, 0)):
            yield moved(entry.at, Flow.EXPIRED, offset, entry)
    if not expired and is_expired_at(credit, end.expired_by) and remaining > 0:
        yield moved(credit.expires or 0, Flow.EXPIRED, -remaining, None)
