"""The roll-forward: how what is owed moved from opening to closing, month by month, and whether it ties out."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.periods import MonthSlice, month_slices
from creditdesk.reports.request import PERIOD_FROM
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, to_decimal
from creditdesk.reports.statement import FLOW_TITLES
from creditdesk.reports.totals import FlowTotals, grouped_totals
from creditdesk.reports.values import Flow, ReportCredit
from creditdesk.schema.errors import invalid_field

ROLL_FORWARD_COLUMNS: Final = (
    ReportColumn("Month", "Month", CellType.TEXT, "The calendar month, or the part of it in the period."),
    ReportColumn("Location", "Location"),
    ReportColumn("Kind", "Kind", CellType.TEXT, "money, time or printing."),
    ReportColumn("Unit", "Unit", CellType.TEXT, "The currency, or what one use is."),
    ReportColumn("Funding", "Funding", CellType.TEXT, "paid, plan, goodwill, migrated or unknown."),
    ReportColumn("Opening", "Opening", CellType.AMOUNT, "Outstanding before the month."),
    *(ReportColumn(flow.value.title().replace("_", ""), FLOW_TITLES[flow], CellType.AMOUNT) for flow in Flow),
    ReportColumn("Closing", "Closing", CellType.AMOUNT, "Outstanding after the month, from the journal's balances."),
    ReportColumn("Recomputed", "Recomputed", CellType.AMOUNT, "Opening and every movement."),
    ReportColumn("Variance", "Variance", CellType.AMOUNT, "Closing less recomputed; 0 unless a line was altered."),
)
MAX_YEARS: Final = 50
"""The longest period that is shown month by month, in years."""


class RollForwardGroup(NamedTuple):
    """The credits that one line of a month adds up."""

    location: int
    kind: CreditType
    unit: str
    funding: FundingKind


def roll_forward(view: LedgerView) -> ReportResult:
    """One row for each month, location, kind, unit and funding; totals of the whole period by kind and unit.

    A period between instants is not divided into months. Raises ValidationError for dates more than `MAX_YEARS`
    apart.
    """
    rows: list[tuple[Cell, ...]] = []
    for part in report_slices(view, _first_date(view)):
        groups = grouped_totals(view, part.starts, part.ends, _group_of)
        rows += [
            (part.label, view.locations[group.location].name, *_cells(group, totals))
            for group, totals in groups.items()
            if totals.opening or totals.closing or any(totals.flows.values())
        ]
    whole = grouped_totals(view, view.request.starts, view.request.ends, lambda c: (c.credit_type, c.unit))
    totals_rows = [
        ("Total", "", *_cells(RollForwardGroup(0, kind, unit, FundingKind.UNKNOWN), totals, funding=""))
        for (kind, unit), totals in whole.items()
    ]
    variance = {
        f"{kind} {unit}": to_decimal(totals.variance, unit, is_money=kind is CreditType.MONEY)
        for (kind, unit), totals in whole.items()
    }
    return ReportResult(
        name="roll-forward",
        title="Roll-forward",
        subtitle="From opening to closing",
        columns=ROLL_FORWARD_COLUMNS,
        rows=tuple(rows),
        totals=tuple(totals_rows),
        footer=report_footer(view, variance),
    )


def _group_of(credit: ReportCredit) -> RollForwardGroup:
    return RollForwardGroup(credit.business_id, credit.credit_type, credit.unit, credit.funding)


def _cells(group: RollForwardGroup, totals: FlowTotals, funding: str | None = None) -> tuple[Cell, ...]:
    is_money = group.kind is CreditType.MONEY
    amounts = (
        totals.opening,
        *(totals.flows[flow] for flow in Flow),
        totals.closing,
        totals.recomputed,
        totals.variance,
    )
    shown = group.funding.value if funding is None else funding
    return (
        group.kind.value,
        group.unit,
        shown,
        *(to_decimal(amount, group.unit, is_money=is_money) for amount in amounts),
    )


def report_slices(view: LedgerView, first_date: date | None) -> list[MonthSlice]:
    """The months of a report; one without a start begins at `first_date`."""
    starts, ends = view.request.starts, view.request.ends
    first = starts if type(starts) is date else first_date if starts is None else None
    last = ends if type(ends) is date else _today(view) if ends is None else None
    if first is None or last is None or first > last:
        return [MonthSlice("all", starts, ends)]
    if last.year - first.year > MAX_YEARS:
        raise invalid_field(
            PERIOD_FROM.name, f"must be at most {MAX_YEARS} years before To: the report has rows for each month"
        )
    slices = list(month_slices(first, last))
    if starts is None:
        slices[0] = MonthSlice(slices[0].label, None, slices[0].ends)
    if ends is None:
        slices[-1] = MonthSlice(slices[-1].label, slices[-1].starts, None)
    return slices


def _first_date(view: LedgerView) -> date | None:
    """The local date of the first entry, on the clock of its location."""
    if view.totals is not None:
        return view.totals.first_date
    found = [
        local_date(from_epoch_microseconds(history.entries[0].at), view.locations[history.credit.business_id].zone)
        for history in view.histories
        if history.entries
    ]
    return min(found, default=None)


def _today(view: LedgerView) -> date | None:
    """The latest of the locations' current local dates."""
    return max((local_date(view.request.now, each.zone) for each in view.locations.values()), default=None)
