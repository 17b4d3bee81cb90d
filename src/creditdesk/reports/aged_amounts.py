"""Loads the view of an ageing report as of now: sums by group and by the time of expiry, and no credit by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from creditdesk.reports.ageing import BAND_DAYS, WEEKS_AHEAD
from creditdesk.reports.credit_sums import Counted, sum_credits
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import load_locations, load_view, with_footer_facts
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import EXPIRY_BANDS, AgedAmount
from creditdesk.schema.grouped_sums import InstantsPassed
from creditdesk.schema.repository import ReadSession

_RESOLUTION: Final = timedelta(microseconds=1)


class _Span(NamedTuple):
    """The time from one instant to the next, in which all that expires is in one band and in one week."""

    band: str
    week: int | None
    is_expired: bool


async def load_ageing_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """The view of a request. Raises ValidationError for what does not exist for the caller.

    Of now and of whole locations the balances that the credits show are added up; every other view has each credit
    with its journal.
    """
    if request.is_of_past or not request.is_of_locations or request.expires is not None:
        return await load_view(session, request, only_end=True)
    locations = await load_locations(session, request)
    aged = await _load_aged(session, request, locations)
    return await with_footer_facts(session, LedgerView(request, locations, [], by_recording=True, aged=tuple(aged)))


async def _load_aged(
    session: ReadSession, request: ReportRequest, locations: dict[int, LocationInfo]
) -> list[AgedAmount]:
    spans = list(_spans(request.now))
    passed = InstantsPassed("ExpireDate", tuple(_instants(request.now)))
    aged = []
    for each in await sum_credits(session, request, locations, ("plan", "funding"), (passed,), Counted.REMAINING):
        (number,) = each.passed
        span = _NEVER if number is None else spans[number]
        expired = max(each.remaining, 0) if span.is_expired else 0
        aged.append(AgedAmount(each.credit, span.band, span.week, each.credits, each.remaining - expired, expired))
    return aged


_NEVER: Final = _Span(EXPIRY_BANDS[-1], None, is_expired=False)


def _ends(now: datetime) -> Iterator[tuple[datetime, bool]]:
    """The last instants of all bands, and of the weeks of the forecast; whether it is of a week."""
    for days in (0, *BAND_DAYS):
        yield now + timedelta(days=days), False
    for week in range(1, WEEKS_AHEAD + 1):
        # A week ends before the instant at which the next one begins, a band with its last one.
        yield now + timedelta(weeks=week) - _RESOLUTION, True


def _instants(now: datetime) -> Iterator[datetime]:
    return (instant for instant, _ in sorted(_ends(now)))


def _spans(now: datetime) -> Iterator[_Span]:
    """The span of each number of instants passed, from none on."""
    band, week = 0, 0
    yield _Span(EXPIRY_BANDS[0], None, is_expired=True)
    for _, is_of_week in sorted(_ends(now)):
        band, week = (band, week + 1) if is_of_week else (band + 1, week)
        yield _Span(EXPIRY_BANDS[max(band - 1, 0)], week, is_expired=False)
