"""The exceptions report: what looks wrong, what explains it, what to do, and who has accepted it."""

from __future__ import annotations

from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.reports.exception_rules import LedgerException
from creditdesk.reports.exception_search import find_exceptions
from creditdesk.reports.exception_values import ExceptionFacts
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult
from creditdesk.reports.statement import credit_number

EXCEPTION_COLUMNS: Final = (
    ReportColumn("Severity", "Severity", CellType.TEXT, "high, medium or low."),
    ReportColumn("Code", "Code"),
    ReportColumn("What", "What"),
    ReportColumn("Location", "Location"),
    ReportColumn("CustomerId", "Customer", CellType.ID),
    ReportColumn("Customer", "Customer name"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Amount", "At stake", CellType.AMOUNT),
    ReportColumn("Since", "Since (UTC)", CellType.INSTANT),
    ReportColumn("Explanation", "What explains it"),
    ReportColumn("Action", "What to do"),
    ReportColumn("AcknowledgedBy", "Acknowledged by"),
    ReportColumn("AcknowledgedOn", "Acknowledged on", CellType.INSTANT),
    ReportColumn("Note", "Note"),
    ReportColumn("Key", "Key", CellType.TEXT, "Names the exception in an acknowledgement."),
)


def exceptions(view: LedgerView, facts: ExceptionFacts) -> ReportResult:
    """Every exception, the most severe first."""
    found = find_exceptions(view, facts)
    still_open = sum(each.key not in facts.acknowledged for each in found)
    return ReportResult(
        name="exceptions",
        title="Exceptions",
        subtitle=f"{len(found)} found, {still_open} not acknowledged",
        columns=EXCEPTION_COLUMNS,
        rows=tuple(_row(view, facts, each) for each in found),
        footer=report_footer(view, {}, [facts.verified] if facts.verified else ()),
    )


def _row(view: LedgerView, facts: ExceptionFacts, found: LedgerException) -> tuple[Cell, ...]:
    credit, rule = found.credit, found.rule
    accepted = facts.acknowledged.get(found.key)
    location = view.locations.get(found.business_id)
    return (
        rule.severity.value,
        found.code.value,
        rule.title,
        location.name if location else "",
        found.customer_id,
        credit.customer_name if credit else "",
        credit.credit_type.value if credit else "",
        credit.id if credit else None,
        credit.unit if credit else "",
        credit_number(credit, found.amount) if credit and found.amount is not None else None,
        None if found.since is None else from_epoch_microseconds(found.since),
        found.explanation,
        rule.action,
        accepted.by if accepted else "",
        accepted.on if accepted else None,
        accepted.note if accepted else "",
        found.key,
    )
