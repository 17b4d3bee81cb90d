"""Activity: who changed what, when it was recorded and when it takes effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from creditdesk.ledger.journal.entry import EntryType, balance_change, epoch_microseconds, from_epoch_microseconds
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.recorded_acts import RecordedAct
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult
from creditdesk.reports.statement import credit_number, source_text
from creditdesk.reports.values import ReportCredit, ReportEntry

ACTIVITY_COLUMNS: Final = (
    ReportColumn("RecordedOn", "Recorded (UTC)", CellType.INSTANT),
    ReportColumn("EffectiveOn", "Effective (UTC)", CellType.INSTANT),
    ReportColumn("Actor", "By"),
    ReportColumn("Verb", "Did", CellType.TEXT, "The type of the journal entry, or the act of the audit trail."),
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
    ReportColumn("Address", "From address", CellType.TEXT, "Of an act outside of the ledger."),
    ReportColumn("AuditId", "Audit record", CellType.ID, "The record of an act outside of the ledger."),
)
_BY_HAND: Final = frozenset({EntryType.ADJUSTMENT, EntryType.VOID, EntryType.REVERSAL, EntryType.REOPENING})


def activity(view: LedgerView, acts: Sequence[RecordedAct] = ()) -> ReportResult:
    """The journal entries of the period and the acts of the audit trail, oldest first.

    The request may limit them to one actor, or to entries made by hand.
    """
    found = [
        (entry, history.credit)
        for history in view.histories
        for entry in history.entries
        if view.starts(history.credit, view.request.starts).entries_before
        <= entry.at
        < view.ends(history.credit, view.request.ends).entries_before
        and _is_wanted(view, entry)
    ]
    rows = [((entry.recorded, 0, entry.id), _row(entry, credit)) for entry, credit in found]
    rows += [((epoch_microseconds(act.recorded_on), 1, act.id), _act_row(act)) for act in acts]
    rows.sort(key=lambda each: each[0])
    return ReportResult(
        name="activity",
        title="Activity",
        subtitle="Who did what",
        columns=ACTIVITY_COLUMNS,
        rows=tuple(cells for _, cells in rows),
        footer=report_footer(view, {}),
    )


def is_by_hand(entry: ReportEntry) -> bool:
    """Whether a person entered it, other than as a sale of credit or a use for a named item."""
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
        "",
        None,
    )


def _act_row(act: RecordedAct) -> tuple[Cell, ...]:
    of_credit = (None, "", "", None, "", None)
    return (
        act.recorded_on,
        act.recorded_on,
        act.actor,
        act.action,
        *of_credit,
        act.details_text,
        act.subject_text,
        None,
        None,
        act.address or "",
        act.id,
    )
