"""Utilisation: how much of the usable credit was used, how much expired, and which credit nobody uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from creditdesk.ledger.journal.entry import from_epoch_microseconds
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import holdings
from creditdesk.reports.result import Cell, CellType, ReportColumn, ReportResult, ReportSection, to_decimal
from creditdesk.reports.totals import FlowTotals, grouped_totals
from creditdesk.reports.values import Flow, ReportCredit

UNUSED_DAYS: Final = 60
"""After this many days without a use, credit is listed as unused."""

_MEASURES: Final = (
    ReportColumn("Usable", "Usable", CellType.AMOUNT, "Opening, granted, rolled in and adjusted; less voided."),
    ReportColumn("Used", "Used", CellType.AMOUNT, "Used, less what was given back."),
    ReportColumn("UsedPercent", "Used %", CellType.PERCENT, "Used ÷ usable."),
    ReportColumn("Expired", "Expired", CellType.AMOUNT, "Expired, less what was reopened."),
    ReportColumn("ExpiredPercent", "Expired %", CellType.PERCENT, "Expired ÷ usable."),
)
UTILISATION_COLUMNS: Final = (
    ReportColumn("Location", "Location"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("CustomerId", "Customer", CellType.ID, "If the rows are customers."),
    ReportColumn("Group", "Group", CellType.TEXT, "The plan or product, customer, funding or kind, as requested."),
    *_MEASURES,
)
_SOURCE_COLUMNS: Final = (
    ReportColumn("Kind", "Kind"),
    ReportColumn("Unit", "Unit"),
    ReportColumn("What", "For", CellType.TEXT, "The room of a booking, or the kind of what was paid."),
    ReportColumn("Used", "Used", CellType.AMOUNT, "Used, less what was given back."),
)
_UNUSED_COLUMNS: Final = (
    ReportColumn("CustomerId", "Customer", CellType.ID),
    ReportColumn("Customer", "Customer name"),
    ReportColumn("Kind", "Kind"),
    ReportColumn("CreditId", "Credit", CellType.ID),
    ReportColumn("Unit", "Unit"),
    ReportColumn("Outstanding", "Outstanding", CellType.AMOUNT),
    ReportColumn("LastUse", "Last use", CellType.INSTANT),
)
_USABLE: Final = (Flow.GRANTED, Flow.ROLLED_IN, Flow.ADJUSTED, Flow.VOIDED, Flow.ROLLED_OUT)
_GROUPS: Final[dict[str, Callable[[ReportCredit], tuple[int | None, str]]]] = {
    "credit": lambda c: (None, c.plan or c.product),
    "plan": lambda c: (None, c.plan or c.product),
    "customer": lambda c: (c.customer_id, c.customer_name),
    "funding": lambda c: (None, c.funding.value),
    "kind": lambda c: (None, c.credit_type.value),
}
"""The customer and name of the row that a credit belongs to, by grouping. Two customers may have the same name."""


def utilisation(view: LedgerView) -> ReportResult:
    """What was used and what expired in the period, grouped as requested, by default by plan and product."""
    request = view.request
    group_of = _GROUPS[request.by]
    groups = grouped_totals(
        view, request.starts, request.ends, lambda c: (c.business_id, c.credit_type, c.unit, *group_of(c))
    )
    units = grouped_totals(view, request.starts, request.ends, lambda c: (c.credit_type, c.unit))
    rows = [
        (view.locations[location].name, kind.value, unit, customer, name, *_measures(kind, unit, totals))
        for (location, kind, unit, customer, name), totals in groups.items()
    ]
    return ReportResult(
        name="utilisation",
        title="Utilisation",
        subtitle="How much credit was used, and how much expired",
        columns=UTILISATION_COLUMNS,
        rows=tuple(sorted(rows, key=lambda row: tuple(map(str, (*row[:3], row[4], row[3]))))),
        totals=tuple(
            ("Total", kind.value, unit, None, "", *_measures(kind, unit, t)) for (kind, unit), t in units.items()
        ),
        footer=report_footer(view, {}),
        sections=(
            ReportSection("Used for", _SOURCE_COLUMNS, tuple(_source_rows(view))),
            ReportSection(f"Unused for {UNUSED_DAYS} days", _UNUSED_COLUMNS, tuple(_unused_rows(view))),
        ),
    )


def percent(part: Amount, whole: Amount) -> Decimal | None:
    """`part` of `whole` in per cent with one decimal; None if `whole` is 0."""
    if whole <= 0:
        return None
    return (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def _measures(kind: CreditType, unit: str, totals: FlowTotals) -> tuple[Cell, ...]:
    is_money = kind is CreditType.MONEY
    usable = totals.opening + sum(totals.flows[flow] for flow in _USABLE)
    used = -totals.flows[Flow.USED] - totals.flows[Flow.REVERSED]
    expired = -totals.flows[Flow.EXPIRED] - totals.flows[Flow.REOPENED]
    return (
        to_decimal(usable, unit, is_money=is_money),
        to_decimal(used, unit, is_money=is_money),
        percent(used, usable),
        to_decimal(expired, unit, is_money=is_money),
        percent(expired, usable),
    )


def _source_rows(view: LedgerView) -> list[tuple[Cell, ...]]:
    used: dict[tuple[CreditType, str, str], Amount] = defaultdict(int)
    for history in view.histories:
        credit = history.credit
        start, end = view.starts(credit, view.request.starts), view.ends(credit, view.request.ends)
        for movement in view.movements(history, start, end):
            entry = movement.entry
            if movement.flow in (Flow.USED, Flow.REVERSED) and entry is not None:
                room = view.rooms.get(entry.source_id or 0, "") if entry.source_kind == "booking" else ""
                used[credit.credit_type, credit.unit, room or entry.source_kind or "nothing named"] -= movement.amount
    return [
        (kind.value, unit, what, to_decimal(amount, unit, is_money=kind is CreditType.MONEY))
        for (kind, unit, what), amount in sorted(used.items())
    ]


def _unused_rows(view: LedgerView) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for each in holdings(view):
        credit = each.credit
        until = view.ends(credit, view.request.ends).expired_by
        since = each.last_use or each.granted
        if each.position.outstanding <= 0 or since is None:
            continue
        if timedelta(microseconds=until - since) >= timedelta(days=UNUSED_DAYS):
            last_use = None if each.last_use is None else from_epoch_microseconds(each.last_use)
            amount = to_decimal(each.position.outstanding, credit.unit, is_money=credit.is_money)
            head = (credit.customer_id, credit.customer_name, credit.credit_type.value, credit.id)
            rows.append((*head, credit.unit, amount, last_use))
    return rows
