"""Activity: who did what to credit, when it was recorded and when it takes effect."""

from __future__ import annotations

from typing import Final

from creditdesk.ledger.journal.entry import EntryType, balance_change, from_epoch_microseconds
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult
from creditdesk.reports.statement import credit_number, source_text
from creditdesk.reports.values import ReportCredit, ReportEntry

ACTIVITY_COLUMNS: Final = (
    ReportColumn("RecordedOn", "Recorded (UTC)", CellType.INSTANT),
    ReportColumn("EffectiveOn", "Effective (UTC)", CellType.INSTANT),
    ReportColumn("Actor", "By"),
    ReportColumn("Verb", "Did", CellType.TEXT, "The type of the journal entry."),
    ReportColumn("CustomerId", "Customer", CellType.ID),
    ReportColumn("Customer", "Customer name"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Amount", "Amount", CellType.AMOUNT, "The change of what remains; for a hold the held amount."),
    ReportColumn("Reason", "Reason"),
    ReportColumn("Source", "For"),
    ReportColumn("Override", "Override", CellType.TEXT, "true for a use that eligibility would have rejected."),
    ReportColumn("EntryId", "Entry", CellType.ID),
)
_BY_HAND: Final = frozenset({EntryType.ADJUSTMENT, EntryType.VOID, EntryType.REVERSAL, EntryType.REOPENING})


def activity(view: LedgerView) -> ReportResult:
    """The journal entries of the period, oldest first; those of one actor, or by hand, on request."""
    found = [
        (entry, history.credit)
        for history in view.histories
        for entry in history.entries
        if view.starts(history.credit, view.request.starts).entries_before
        <= entry.at
        < view.ends(history.credit, view.request.ends).entries_before
        and _is_wanted(view, entry)
    ]
    found.sort(key=lambda each: (each[0].recorded, each[0].id))
    return ReportResult(
        name="activity",
        title="Activity",
        subtitle="Who did what",
        columns=ACTIVITY_COLUMNS,
        rows=tuple(_row(entry, credit) for entry, credit in found),
        footer=report_footer(view, {}),
    )


def is_by_hand(entry: ReportEntry) -> bool:
    """Whether a person entered it beside the sale and the use of credit."""
    is_person = "@" in entry.actor
    return is_person and (
        entry.kind in _BY_HAND or entry.override or (entry.kind is EntryType.USE and not entry.source_kind)
    )


def _is_wanted(view: LedgerView, entry: ReportEntry) -> bool:
    request = view.request
    if request.actor is not None and entry.actor.lower() != request.actor.lower():
        return False
    return is_by_hand(entry) or not request.manual_only


def _row(entry: ReportEntry, credit: ReportCredit) -> tuple[Cell, ...]:
    change = balance_change(entry.kind, entry.amount) or entry.amount
    return (
        from_epoch_microseconds(entry.recorded),
        from_epoch_microseconds(entry.effective),
        entry.actor,
        entry.kind.value,
        credit.customer_id,
        credit.customer_name,
        credit.credit_type.value,
        credit.id,
        credit.unit,
        credit_number(credit, change),
        entry.reason,
        source_text(entry),
        entry.override,
        entry.id,
    )
