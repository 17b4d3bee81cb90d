"""The uses of a view that are not reversed, or not in full."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from creditdesk.ledger.journal.entry import EntryType
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.reports.ledger_view import CreditHistory, LedgerView
from creditdesk.reports.values import ReportEntry


def open_uses(view: LedgerView) -> Iterator[tuple[CreditHistory, ReportEntry, Amount]]:
    """The uses with what is not reversed of each."""
    for history in view.histories:
        reversed_: dict[int, Amount] = defaultdict(int)
        for entry in history.entries:
            if entry.reverses is not None:
                reversed_[entry.reverses] += entry.amount
        for entry in history.entries:
            left = entry.amount - reversed_[entry.sequence]
            if entry.kind is EntryType.USE and left > 0:
                yield history, entry, left
