"""The earlier windows, funding and owners of credits that were changed after the time of a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from creditdesk.ledger.journal.entry import AccountType, epoch_microseconds, from_epoch_microseconds
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey
from creditdesk.ledger.loaders.past_terms import PastTerms, load_past_terms
from creditdesk.ledger.loaders.rows import find_by_id
from creditdesk.ledger.rules.amounts import parse_money
from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.ledger_view import LocationInfo
from creditdesk.reports.periods import Moment, end_cut
from creditdesk.reports.request import ReportRequest
from creditdesk.reports.rows import CustomerRow
from creditdesk.reports.values import END_OF_TIME, ReportCredit
from creditdesk.schema.conversions import parse_datetime
from creditdesk.schema.repository import ReadSession

_FIELDS: Final = {"ExpireDate": "expires", "ValidFrom": "valid_from"}


async def load_past_windows(
    session: ReadSession,
    request: ReportRequest,
    locations: Mapping[int, LocationInfo],
    credits_: Mapping[AccountKey, ReportCredit],
) -> dict[AccountKey, ReportCredit]:
    """The credits whose window, funding or owner was changed afterwards, with the earlier values.

    The window is that at the report's end; funding and owner are those at `TermsAt`, if it is given.
    """
    at_end = await _terms_at(session, request, request.ends, locations, credits_)
    at_terms = at_end
    if request.terms_at is not None:
        at_terms = await _terms_at(session, request, request.terms_at, locations, credits_)
    found = {
        account: replace(
            credits_[account], **_past_window(at_end.get(account, {})), **_past_origin(at_terms.get(account, {}))
        )
        for account in at_end.keys() | at_terms.keys()
    }
    owned_by_others = {
        account: credit for account, credit in found.items() if credit.customer_id != credits_[account].customer_id
    }
    names = await find_by_id(session, CustomerRow, (credit.customer_id for credit in owned_by_others.values()))
    for account, credit in owned_by_others.items():
        owner = names.get(credit.customer_id or 0)
        found[account] = replace(credit, customer_name=(owner.full_name or "") if owner else "")
    return found


async def _terms_at(
    session: ReadSession,
    request: ReportRequest,
    moment: Moment | None,
    locations: Mapping[int, LocationInfo],
    credits_: Mapping[AccountKey, ReportCredit],
) -> dict[AccountKey, PastTerms]:
    """The terms at a moment, on the clock of each location, of the credits whose terms were changed since."""
    groups: dict[tuple[datetime, AccountType], list[int]] = defaultdict(list)
    for (account_type, credit_id), credit in credits_.items():
        until = _last_instant(request, moment, locations[credit.business_id])
        if until is not None:
            groups[until, account_type].append(credit_id)
    return {
        (account_type, credit_id): terms
        for (until, account_type), ids in groups.items()
        for credit_id, terms in (await load_past_terms(session, MAPPINGS[account_type], ids, until)).items()
    }


def _last_instant(request: ReportRequest, moment: Moment | None, location: LocationInfo) -> datetime | None:
    """The last instant whose changes count; None for no limit."""
    if request.as_known_at is not None:
        return request.as_known_at
    cut = end_cut(moment, location.zone, request.now)
    return None if cut.entries_before == END_OF_TIME else from_epoch_microseconds(cut.entries_before - 1)


def _past_window(terms: PastTerms) -> dict[str, Any]:
    return {
        field: epoch_microseconds(parse_datetime(terms[term])[0]) if terms[term] else None
        for term, field in _FIELDS.items()
        if term in terms
    }


def _past_origin(terms: PastTerms) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "Funding" in terms:
        values["funding"] = FundingKind(terms["Funding"])
    if "PricePaid" in terms:
        values["price"] = None if terms["PricePaid"] is None else parse_money(terms["PricePaid"])
    if "CoworkerId" in terms:
        values["customer_id"] = terms["CoworkerId"]
    return values
