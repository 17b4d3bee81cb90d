"""The movements that a figure of another report adds up, entry by entry."""

from __future__ import annotations

from collections import defaultdict

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.footer import report_footer
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.result import Cell, ReportResult, to_decimal
from creditdesk.reports.statement import MOVEMENT_COLUMNS, movement_row, view_movements


def movement_list(view: LedgerView) -> ReportResult:
    """The movements of the view in its period, limited to the flows that the request names, if any."""
    flows = view.request.flows
    chosen = [each for each in view_movements(view) if not flows or each.flow in flows]
    sums: dict[tuple[CreditType, str], Amount] = defaultdict(int)
    for each in chosen:
        sums[each.credit.credit_type, each.credit.unit] += each.amount
    return ReportResult(
        name="movements",
        title="Movements",
        subtitle=f"What a figure adds up: {', '.join(flows)}" if flows else "What a figure adds up",
        columns=MOVEMENT_COLUMNS,
        rows=tuple(movement_row(view, each, None) for each in chosen),
        totals=tuple(_total_row(kind, unit, amount) for (kind, unit), amount in sorted(sums.items())),
        footer=report_footer(view, {}),
    )


def _total_row(kind: CreditType, unit: str, amount: Amount) -> tuple[Cell, ...]:
    number = to_decimal(amount, unit, is_money=kind is CreditType.MONEY)
    named: dict[str, Cell] = {"What": "Total", "Kind": kind.value, "Unit": unit, "Amount": number}
    return tuple(named.get(column.name) for column in MOVEMENT_COLUMNS)
