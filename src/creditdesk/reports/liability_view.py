"""Loads the view of a current liability in groups: sums by what the rows show instead of single credits."""

from __future__ import annotations

from creditdesk.reports.credit_sums import Counted, CreditSum, sum_credits
from creditdesk.reports.ledger_view import LedgerView
from creditdesk.reports.liability import Holding
from creditdesk.reports.loader import load_locations, load_view, with_footer_facts
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import HeldSum, Position
from creditdesk.schema.grouped_sums import InstantsPassed
from creditdesk.schema.repository import ReadSession


async def load_liability_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """Loads the view of a request. Raises ValidationError for a record that does not exist for the caller.

    A current report in groups about whole locations gets sums of the stored balances. Any other gets each credit with
    its newest entry.
    """
    if request.by == "credit" or not request.is_of_current_balances:
        return await load_view(session, request, only_end=True)
    locations = await load_locations(session, request)
    passed = tuple(InstantsPassed(name, (request.now,)) for name in ("ExpireDate", "ValidFrom"))
    sums = await sum_credits(session, request, locations, (request.by,), passed, Counted.HELD)
    held = map(_held_sum, sums)
    return await with_footer_facts(session, LedgerView(request, locations, [], by_recording=True, held=tuple(held)))


def _held_sum(found: CreditSum) -> HeldSum:
    ends_after, begins_after = found.passed
    position = Position(found.remaining, found.held, is_expired=ends_after == 0)
    not_yet_valid = position.outstanding if begins_after == 1 else 0
    holding = Holding(found.credit, found.original, position, not_yet_valid, granted=None, last_use=None)
    return HeldSum(found.credit, found.credits, holding.amounts)
