"""Compares the rows of a use history with the journal entries that name them (rule 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from creditdesk.ledger.journal.entry import EntryType, JournalEntry, epoch_microseconds
from creditdesk.ledger.journal.invariants import replay_steps
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.values import StoredUse
from creditdesk.ledger.rules.amounts import Amount

_SECOND: Final = 1_000_000


def use_row_differences(
    mapping: CreditTypeMapping, entries: Sequence[JournalEntry], uses: Sequence[StoredUse]
) -> Iterator[str]:
    """The differences between one credit's use rows and its entries, row by row.

    Rows from before the journal began are named by no entry: together they are what its opening
    entry says was used. A row without an amount moved nothing and may have no entry (rule 9).
    """
    rows = {use.id: use for use in uses}
    named = set()
    used_before = 0
    for entry, after in replay_steps(entries):
        used = after.total - after.remaining
        taken, used_before = used - used_before, used
        if entry.history_id is None:
            continue
        named.add(entry.history_id)
        row = rows.get(entry.history_id)
        if row is None:
            yield f"use #{entry.history_id} of line {entry.sequence} is missing"
        else:
            yield from _row_differences(mapping, row, entry, taken)
    began = next((e for e in entries if e.kind is EntryType.USE and e.history_id is None), None)
    for row in uses:
        if row.id in named or row.used is None:
            continue
        if began is None or epoch_microseconds(row.created) > began.recorded_microseconds:
            yield f"use #{row.id} is in no line of the journal"


def _row_differences(mapping: CreditTypeMapping, row: StoredUse, entry: JournalEntry, taken: Amount) -> Iterator[str]:
    line = f"line {entry.sequence}"
    if (row.used or 0) != taken:
        yield f"use #{row.id} is {row.used} and {line} says {taken}"
    # The history has columns for some kinds of items only.
    is_shown = entry.source_kind in mapping.source_columns
    item = (entry.source_kind, entry.source_id) if is_shown else (None, None)
    if (row.source_kind, row.source_id) != item:
        yield f"use #{row.id} names another item than {line}"
    # Rows of the ledger are stamped in whole seconds; imported ones keep the time of their file.
    recorded = entry.recorded_microseconds // _SECOND * _SECOND
    if epoch_microseconds(row.created) not in (recorded, entry.effective_microseconds):
        yield f"use #{row.id} has another date than {line}"
