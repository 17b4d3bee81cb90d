"""Opening, flows and closing of groups of credits, and their variance, which is 0 unless the journal was altered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.credit_totals import PeriodTotals
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.periods import Moment
from creditdesk.reports.values import Flow, ReportCredit

G = TypeVar("G", bound=Hashable)


@dataclass(slots=True)
class FlowTotals:
    """What a group of credits of one unit held at two cuts, and how it moved between them.

    `closing` is read from the journal's balances; `recomputed` is the opening and every flow.
    """

    opening: Amount = 0
    flows: dict[Flow, Amount] = field(default_factory=lambda: dict.fromkeys(Flow, 0))
    closing: Amount = 0

    @property
    def recomputed(self) -> Amount:
        return self.opening + sum(self.flows.values())

    @property
    def variance(self) -> Amount:
        return self.closing - self.recomputed


def flow_totals(view: LedgerView) -> dict[tuple[CreditType, str], FlowTotals]:
    """The totals of each kind and unit over the period of the view."""
    return grouped_totals(view, view.request.starts, view.request.ends, lambda c: (c.credit_type, c.unit))


def grouped_totals(
    view: LedgerView, starts: Moment | None, ends: Moment | None, group_of: Callable[[ReportCredit], G]
) -> dict[G, FlowTotals]:
    """The totals of each group between two moments, sorted by group."""
    found: dict[G, FlowTotals] = defaultdict(FlowTotals)
    if view.totals is not None:
        _add_totals(found, view, view.totals, (starts, ends), group_of)
    for history in view.histories:
        credit = history.credit
        start, end = view.starts(credit, starts), view.ends(credit, ends)
        totals = found[group_of(credit)]
        totals.opening += view.position(history, start).outstanding
        totals.closing += view.position(history, end).outstanding
        for movement in view.movements(history, start, end):
            totals.flows[movement.flow] += movement.amount
    return {group: found[group] for group in sorted(found, key=repr)}


def _add_totals(
    found: dict[G, FlowTotals],
    view: LedgerView,
    period: PeriodTotals,
    moments: tuple[Moment | None, Moment | None],
    group_of: Callable[[ReportCredit], G],
) -> None:
    starts, ends = moments
    for key, credit in period.credits.items():
        opening = period.totals(key, view.starts(credit, starts))
        closing = period.totals(key, view.ends(credit, ends))
        if not opening and not closing:
            continue
        totals = found[group_of(credit)]
        totals.opening += opening.outstanding
        totals.closing += closing.outstanding
        for flow in Flow:
            totals.flows[flow] += closing.flow(flow) - opening.flow(flow)
