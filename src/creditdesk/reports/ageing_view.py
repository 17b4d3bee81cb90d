"""Loads the view of a current ageing report: sums by group and time of expiry instead of single credits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from creditdesk.reports.ageing import BAND_DAYS, WEEKS_AHEAD, band_of
from creditdesk.reports.credit_sums import Counted, sum_credits
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import load_locations, load_view, with_footer_facts
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import EXPIRY_BANDS, MICROSECOND, AgedAmount
from creditdesk.schema.grouped_sums import InstantsPassed
from creditdesk.schema.repository import ReadSession


class _Span(NamedTuple):
    """The time between two boundaries: everything that expires in it is in one band and in one week."""

    band: str
    week: int | None
    is_expired: bool


_EXPIRED: Final = _Span(EXPIRY_BANDS[0], None, is_expired=True)
_NEVER: Final = _Span(EXPIRY_BANDS[-1], None, is_expired=False)


async def load_ageing_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """Loads the view of a request. Raises ValidationError for a record that does not exist for the caller.

    A current report about whole locations gets sums of the stored balances; any other gets each credit with its
    journal.
    """
    if not request.is_of_current_balances:
        return await load_view(session, request, only_end=True)
    locations = await load_locations(session, request)
    aged = await _load_aged(session, request, locations)
    return await with_footer_facts(session, LedgerView(request, locations, [], by_recording=True, aged=tuple(aged)))


async def _load_aged(
    session: ReadSession, request: ReportRequest, locations: dict[int, LocationInfo]
) -> list[AgedAmount]:
    boundaries = _boundaries(request.now)
    # A credit that has passed no boundary expired before now; the others expire after the last one that they passed.
    spans = [_EXPIRED, *(_span(boundary + MICROSECOND - request.now) for boundary in boundaries)]
    passed = InstantsPassed("ExpireDate", tuple(boundaries))
    aged = []
    for each in await sum_credits(session, request, locations, ("plan", "funding"), (passed,), Counted.REMAINING):
        (number,) = each.passed
        span = _NEVER if number is None else spans[number]
        expired = max(each.remaining, 0) if span.is_expired else 0
        aged.append(AgedAmount(each.credit, span.band, span.week, each.credits, each.remaining - expired, expired))
    return aged


def _boundaries(now: datetime) -> list[datetime]:
    """The last instants of the bands and of the forecast's weeks: a band includes its end, a week does not."""
    bands = (now + timedelta(days=days) for days in (0, *BAND_DAYS))
    weeks = (now + timedelta(weeks=week) - MICROSECOND for week in range(1, WEEKS_AHEAD + 1))
    return sorted((*bands, *weeks))


def _span(left: timedelta) -> _Span:
    """The span of what expires when this much time has passed."""
    return _Span(band_of(left), left // timedelta(weeks=1), is_expired=False)
