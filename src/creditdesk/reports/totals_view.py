"""Loads the view of a report that needs totals of groups of credits instead of single credits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.loaders.rows import find_by_id
from creditdesk.ledger.rules.calendar import local_date
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.reports.credit_loader import time_unit
from creditdesk.reports.credit_totals import GroupKey, PeriodTotals
from creditdesk.reports.journal_loader import first_entry_on
from creditdesk.reports.ledger_view import LedgerView, LocationInfo
from creditdesk.reports.loader import is_wanted, load_locations, with_footer_facts
from creditdesk.reports.location_totals import load_location_totals
from creditdesk.reports.periods import end_cut, start_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.roll_forward import report_slices
from creditdesk.reports.rows import ReportRateRow
from creditdesk.reports.values import BEGINNING, Cut, ReportCredit
from creditdesk.schema.repository import ReadSession


async def load_totals_view(session: ReadSession, request: ReportRequest, *, only_end: bool) -> LedgerView:
    """Loads the view of a request about locations, with the totals at both ends of each month of its period.

    With `only_end`, loads only the totals at its end. Raises ValidationError for a location that does not exist
    for the caller.
    """
    locations = await load_locations(session, request)
    view = LedgerView(request, locations, [], by_recording=True)
    is_open = request.starts is None and not only_end
    first_date = await _first_date(session, locations) if is_open else None
    at = {
        each.id: await load_location_totals(session, each.id, _cuts(view, each, first_date, only_end=only_end))
        for each in locations.values()
    }
    keys = {key for cuts in at.values() for totals in cuts.values() for key in totals}
    credits_ = await _group_credits(session, keys, locations)
    wanted = {key: credit for key, credit in credits_.items() if is_wanted(credit, request)}
    return await with_footer_facts(session, replace(view, totals=PeriodTotals(first_date, wanted, at)))


def _cuts(view: LedgerView, location: LocationInfo, first_date: date | None, *, only_end: bool) -> set[Cut]:
    """The cuts of the report at a location, on its clock."""
    request = view.request
    cuts = {end_cut(request.ends, location.zone, request.now)}
    if not only_end:
        for part in report_slices(view, first_date):
            cuts.add(start_cut(part.starts, location.zone))
            cuts.add(end_cut(part.ends, location.zone, request.now))
    return {cut for cut in cuts if cut.entries_before != BEGINNING}


async def _first_date(session: ReadSession, locations: Mapping[int, LocationInfo]) -> date | None:
    """The earliest local date of the locations' first entries, each by its own clock."""
    found = []
    for each in locations.values():
        first = await first_entry_on(session, each.id)
        found += [local_date(first, each.zone)] if first else []
    return min(found, default=None)


async def _group_credits(
    session: ReadSession, keys: Iterable[GroupKey], locations: Mapping[int, LocationInfo]
) -> dict[GroupKey, ReportCredit]:
    """A representative credit of each group, with its kind and unit."""
    wanted = sorted(keys)
    rates = await find_by_id(session, ReportRateRow, (key.rate_id for key in wanted))
    found = {}
    for key in wanted:
        if key.account_type is AccountType.MONEY:
            kind, unit = CreditType.MONEY, locations[key.business_id].currency.upper()
        else:
            kind, unit = time_unit(rates.get(key.rate_id))
        found[key] = ReportCredit(key.account_type, 0, key.business_id, None, kind, unit, funding=key.funding)
    return found
