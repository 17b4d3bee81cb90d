"""Counts committed journal entries for the metrics."""

from __future__ import annotations

from collections.abc import Iterable

from creditdesk.ledger.journal.entry import JournalEntry
from creditdesk.telemetry.metrics import JOURNAL_ENTRIES


def count_entries(entries: Iterable[JournalEntry]) -> None:
    """Counts each by its type of credit and of entry."""
    for entry in entries:
        JOURNAL_ENTRIES.count(entry.credit_kind.value, entry.kind.value)
