"""Compares the rows of a use history with the journal entries that name them (rule 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from creditdesk.audit.amount_text import amount_text
from creditdesk.audit.findings import AuditFinding, FindingCode
from creditdesk.ledger.journal.entry import EntryType, JournalEntry, epoch_microseconds
from creditdesk.ledger.journal.invariants import replay_steps
from creditdesk.ledger.journal.mapping import CreditTypeMapping
from creditdesk.ledger.journal.values import StoredUse
from creditdesk.ledger.rules.amounts import Amount

_SECOND: Final = 1_000_000


def use_row_differences(
    mapping: CreditTypeMapping,
    entries: Sequence[JournalEntry],
    uses: Sequence[StoredUse],
    currency: str | None = None,
) -> Iterator[AuditFinding]:
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
            message = f"use #{entry.history_id} of line {entry.sequence} is missing"
            yield AuditFinding(code=FindingCode.USE_MISSING, message=message, record_id=entry.history_id)
        else:
            yield from _row_differences(mapping, row, entry, taken, currency)
    began = next((e for e in entries if e.kind is EntryType.USE and e.history_id is None), None)
    for row in uses:
        if row.id in named or row.used is None:
            continue
        if began is None or epoch_microseconds(row.created) > began.recorded_microseconds:
            message = f"use #{row.id} is in no line of the journal"
            yield AuditFinding(code=FindingCode.USE_UNEXPLAINED, message=message, record_id=row.id)


def _row_differences(
    mapping: CreditTypeMapping, row: StoredUse, entry: JournalEntry, taken: Amount, currency: str | None
) -> Iterator[AuditFinding]:
    if (row.used or 0) != taken:
        stored, expected = (amount_text(mapping, amount, currency) for amount in (row.used, taken))
        yield AuditFinding(
            code=FindingCode.USE_AMOUNT,
            message=f"use #{row.id} is {stored} and line {entry.sequence} says {expected}",
            record_id=row.id,
            stored=stored,
            expected=expected,
        )
    # The history has columns for some kinds of items only.
    is_shown = entry.source_kind in mapping.source_columns
    item = (entry.source_kind, entry.source_id) if is_shown else (None, None)
    if (row.source_kind, row.source_id) != item:
        message = f"use #{row.id} names another item than line {entry.sequence}"
        yield AuditFinding(code=FindingCode.USE_ITEM, message=message, record_id=row.id)
    # Rows of the ledger are stamped in whole seconds; imported ones keep the time of their file.
    recorded = entry.recorded_microseconds // _SECOND * _SECOND
    if epoch_microseconds(row.created) not in (recorded, entry.effective_microseconds):
        message = f"use #{row.id} has another date than line {entry.sequence}"
        yield AuditFinding(code=FindingCode.USE_DATE, message=message, record_id=row.id)
