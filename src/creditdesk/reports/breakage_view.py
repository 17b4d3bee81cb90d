"""Loads the view of a current breakage estimate: sums by local month of grant instead of single credits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from creditdesk.ledger.journal.mapping import MAPPINGS
from creditdesk.ledger.rules.calendar import add_months, local_date, start_of_day
from creditdesk.reports.credit_sums import Counted, sum_credits
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import load_locations, load_view, with_footer_facts
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.values import MICROSECOND, CohortSum
from creditdesk.schema.grouped_sums import InstantsPassed
from creditdesk.schema.query import Order, where
from creditdesk.schema.repository import ReadSession, find_first

_MAX_MONTHS: Final = 600
_BY: Final = ("plan", "description", "funding")


async def load_breakage_view(session: ReadSession, request: ReportRequest) -> LedgerView:
    """Loads the view of a request. Raises ValidationError for a record that does not exist for the caller.

    A current report about whole locations gets sums of the stored balances, unless it lists the credits of one cohort,
    or the credits of a time zone span more than fifty years. Any other gets each credit with its newest entry.
    """
    if request.cohort is not None or not request.is_of_current_balances:
        return await load_view(session, request, only_end=True)
    locations = await load_locations(session, request)
    cohorts: list[CohortSum] = []
    for zone, of_zone in _by_zone(locations).items():
        months = await _months(session, of_zone, zone)
        if len(months) > _MAX_MONTHS:
            return await load_view(session, request, only_end=True)
        cohorts += await _load_cohorts(session, request, of_zone, months, zone)
    view = LedgerView(request, locations, [], by_recording=True, cohorts=tuple(cohorts))
    return await with_footer_facts(session, view)


def _by_zone(locations: Mapping[int, LocationInfo]) -> dict[ZoneInfo, dict[int, LocationInfo]]:
    found: dict[ZoneInfo, dict[int, LocationInfo]] = defaultdict(dict)
    for location_id, each in locations.items():
        found[each.zone][location_id] = each
    return found


async def _months(session: ReadSession, locations: Mapping[int, LocationInfo], zone: ZoneInfo) -> list[date]:
    """The first day of each local month, from the oldest credit to the newest."""
    dates = []
    for mapping in MAPPINGS.values():
        entity = mapping.credit_entity
        of_locations, created = where(entity, BusinessId=tuple(locations)), entity.meta().columns["CreatedOn"]
        for order in (Order(created), Order(created, descending=True)):
            found = await find_first(session, entity, of_locations, order, columns=("Id", "CreatedOn"))
            dates += [local_date(found["CreatedOn"], zone).replace(day=1)] if found else []
    if not dates:
        return []
    first, last = min(dates), max(dates)
    following = 12 * (last.year - first.year) + last.month - first.month
    return [first, *(add_months(first, number) for number in range(1, following + 1))]


async def _load_cohorts(
    session: ReadSession,
    request: ReportRequest,
    locations: Mapping[int, LocationInfo],
    months: list[date],
    zone: ZoneInfo,
) -> list[CohortSum]:
    # Instants passed are counted strictly, and a credit created at the first instant of a month belongs to it.
    starts = tuple(start_of_day(month, zone) - MICROSECOND for month in months[1:])
    passed = (InstantsPassed("ExpireDate", (request.now,)), InstantsPassed("CreatedOn", starts))
    cohorts = []
    for each in await sum_credits(session, request, locations, _BY, passed, Counted.GRANTED):
        ends_after, number = each.passed
        month = "" if number is None else f"{months[number]:%Y-%m}"
        cohorts.append(
            CohortSum(each.credit, month, each.credits, each.original, each.remaining, is_expired=ends_after == 0)
        )
    return cohorts
